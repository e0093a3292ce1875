"""Payloads of tasks that are done in batches: each is one element of the list that the handler takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import MutableSequence, Sequence
from inspect import Parameter
from typing import TYPE_CHECKING, Any, get_args, get_origin

from .payloads import Form

if TYPE_CHECKING:
    from collections.abc import Callable

    from .shapes import Shape

_LISTS = (list, Sequence, MutableSequence)
_LIST_OF_DICTS_IN_WORDS = re.compile(
    r"(\w+\.)?(list|List|Sequence|MutableSequence)(\[(\w+\.)?(dict|Dict|Mapping|MutableMapping)\b.*\])?"
)


def element_form_of(task_name: str, function: Callable[..., Any]) -> ElementForm | None:
    """Return how *function* takes each payload of its list; None when it doesn't tell, and gets dicts.

    Raises:
        TypeError: it does not take one list.
    """
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return None  # some that are written in C don't tell
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind is Parameter.VAR_POSITIONAL:
        return None
    try:
        signature.bind([])
    except TypeError:
        raise TypeError(
            f"task {task_name!r} is done in batches, so its function has to take one argument, the list of payloads, "
            f"as (payloads: list[Payload]) does; it takes {signature}"
        ) from None
    return ElementForm(task_name, function, parameters[:1], takes_more=False)


class ElementForm(Form):
    """How a handler takes each of the payloads in its list."""

    def gather(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Return the one payload that a call with these arguments means, not yet checked.

        Raises:
            TypeError: it is none, or several.
        """
        if not args:
            return kwargs
        if kwargs or len(args) > 1:
            raise TypeError(f"task {self._task_name!r} takes one payload: pass it alone, or its fields by name")
        return args[0]

    def _make_shape(self) -> Shape:
        from .shapes import record  # noqa: PLC0415 - see payloads.py

        (hint,) = self._hints().values()
        element = self._element(hint)
        if shape := record(self._task_name, element):
            return shape
        raise TypeError(f"a batch is a list of dicts, models, dataclasses or TypedDicts, not of {element!r}")

    def _element(self, hint: Any) -> Any:
        if hint is Any or hint is object:
            return dict
        if (get_origin(hint) or hint) not in _LISTS:
            raise TypeError(f"{self._named[0].name} is to be a list of payloads, such as list[dict], not {hint!r}")
        return (get_args(hint) or (dict,))[0]

    def _hints(self) -> dict[str, Any]:
        try:
            return super()._hints()
        except NameError:
            (parameter,) = self._named
            if isinstance(parameter.annotation, str) and _LIST_OF_DICTS_IN_WORDS.fullmatch(parameter.annotation):
                # Imported for type checkers alone, as is the custom.
                return {parameter.name: list}
            raise
