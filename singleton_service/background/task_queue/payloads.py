"""Payloads with types: from what a caller passes to JSON, and from JSON to what the handler takes.

A handler that takes a dict is called with it, and nothing here is in its way. Others say by their annotations what they
take: one pydantic model, dataclass or TypedDict, or arguments by name. pydantic checks and converts both ways.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime
from inspect import Parameter
from typing import TYPE_CHECKING, Any, NotRequired, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .shapes import Shape

DICTS = (dict, Mapping, MutableMapping)
_DICT_IN_WORDS = re.compile(r"(\w+\.)?(dict|Dict|Mapping|MutableMapping)\b")
_ANY_DICT_IN_WORDS = re.compile(
    r"(\w+\.)?((dict|Dict|Mapping|MutableMapping)(\[str, ?(\w+\.)?(Any|object)\])?|Any|object)"
)
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def form_of(task_name: str, function: Callable[..., Any]) -> Form | None:
    """Return how *function* takes its payload; None when it takes any dict as it is. Evaluates no annotation yet."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        # Some that are written in C don't tell.
        return None
    named = [parameter for parameter in parameters if parameter.kind not in _VARIADIC]
    positional = [parameter for parameter in named if parameter.kind is not Parameter.KEYWORD_ONLY]
    if not positional and any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    if positional and _takes_any_dict(positional[0], positional, named):
        return None
    takes_more = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters)
    return Form(task_name, function, named, takes_more=takes_more)


class Form:
    """How one handler takes its payload. The checks are made at first use: annotations may name what comes later."""

    def __init__(
        self, task_name: str, function: Callable[..., Any], named: Sequence[Parameter], *, takes_more: bool
    ) -> None:
        self._task_name = task_name
        self._function = function
        self._named = named
        self._takes_more = takes_more

    def gather(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Return the payload that a call with these arguments means, not yet checked.

        Raises:
            TypeError: too many arguments, or one twice; or the handler's annotations can't be used.
        """
        if self._shape.is_whole:
            (parameter,) = self._named
            if not args and set(kwargs) == {parameter.name} and parameter.name not in _fields(self._hints()):
                args, kwargs = (kwargs[parameter.name],), {}
            if not args:
                return kwargs
            if kwargs or len(args) > 1:
                raise TypeError(f"task {self._task_name!r} takes one payload: pass it alone, or its fields by name")
            return args[0]
        names = [each.name for each in self._named if each.kind is not Parameter.KEYWORD_ONLY]
        if len(args) > len(names):
            raise TypeError(f"task {self._task_name!r} takes {len(names)} arguments by position, {len(args)} are given")
        payload = dict(zip(names, args, strict=False))
        if twice := payload.keys() & kwargs.keys():
            raise TypeError(f"task {self._task_name!r} has two values for {', '.join(map(repr, sorted(twice)))}")
        return payload | kwargs

    def dump(self, payload: Any) -> Any:
        """Check a payload and return it as values that JSON has.

        Raises:
            ValueError: it is not what the handler takes; the message names fields and rules.
            TypeError: the handler's annotations can't be used.
        """
        return self._shape.dump(payload)

    def load(self, payload: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Check a stored payload and return the arguments for the handler.

        Raises:
            ValueError: it is not what the handler takes; the message names fields and rules.
            TypeError: the handler's annotations can't be used.
        """
        value = self._shape.load(payload)
        if self._shape.is_whole:
            return (value,), {}
        by_position = [each.name for each in self._named if each.kind is Parameter.POSITIONAL_ONLY]
        return [value.pop(name) for name in by_position if name in value], value

    @functools.cached_property
    def moments(self) -> dict[str, type[date]]:
        """The arguments that have to be given and are a `date` or a `datetime`, by name.

        Raises:
            TypeError: the handler's annotations can't be used.
        """
        if self._shape.is_whole:
            return {}
        hints = self._hints()
        needed = [each.name for each in self._named if each.default is Parameter.empty]
        return {name: hints[name] for name in needed if hints[name] in (date, datetime)}

    @functools.cached_property
    def _shape(self) -> Shape:
        # Here: it takes pydantic, which handlers that take dicts, and their worker's start, do without.
        from .shapes import UNUSABLE  # noqa: PLC0415

        try:
            return self._make_shape()
        except UNUSABLE as error:
            raise TypeError(
                f"task {self._task_name!r} can't tell what its handler takes: {str(error).partition(chr(10))[0]}. "
                "Annotate it with types that pydantic knows, defined at the top of a module and imported when it runs, "
                "not under TYPE_CHECKING only"
            ) from error

    def _make_shape(self) -> Shape:
        from .shapes import arguments, record  # noqa: PLC0415 - see above

        hints = self._hints()
        if len(self._named) == 1 and not self._takes_more:
            (hint,) = hints.values()
            if shape := record(self._task_name, hint):
                return shape
        fields = {
            each.name: hints[each.name] if each.default is Parameter.empty else NotRequired[hints[each.name]]
            for each in self._named
        }
        return arguments(self._task_name, fields, takes_more=self._takes_more)

    def _hints(self) -> dict[str, Any]:
        hints: dict[str, Any] = {}
        names = _globals_of(self._function)
        for each in self._named:
            if each.annotation is Parameter.empty:
                hints[each.name] = Any
                continue
            holder = types.SimpleNamespace(__annotations__={each.name: each.annotation})
            try:
                hints |= get_type_hints(holder, names, include_extras=True)
            except NameError:
                if not (isinstance(each.annotation, str) and _DICT_IN_WORDS.match(each.annotation)):
                    raise
                # Imported for type checkers alone, as is the custom; that it is a dict is all there is to know.
                hints[each.name] = dict[str, Any]
        return hints


def _takes_any_dict(first: Parameter, positional: Sequence[Parameter], named: Sequence[Parameter]) -> bool:
    if any(other.default is Parameter.empty for other in named if other is not first):
        return False
    if first.annotation is Parameter.empty:
        return first.name == "payload" or (len(positional) == 1 and first.default is Parameter.empty)
    if isinstance(first.annotation, str):
        return _ANY_DICT_IN_WORDS.fullmatch(first.annotation) is not None
    return is_any_dict(first.annotation)


def is_any_dict(hint: Any) -> bool:
    """Whether an annotation takes any dict with names for keys."""
    if hint is Any or hint is object:
        return True
    args = get_args(hint)
    return (get_origin(hint) or hint) in DICTS and (not args or (args[0] is str and args[1] in {Any, object}))


def _fields(hints: dict[str, Any]) -> set[str]:
    (hint,) = hints.values()
    hint = get_origin(hint) or hint
    return set(getattr(hint, "model_fields", getattr(hint, "__annotations__", ())))


def _globals_of(function: Any) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__globals__") and not hasattr(function, "__func__"):
        function = type(function).__call__
    names: dict[str, Any] = getattr(function, "__globals__", vars(typing))
    return names
