"""What a payload is to a handler that says so by its annotations: pydantic checks and converts it both ways."""

from __future__ import annotations

import types
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict, is_typeddict  # pydantic takes no other before Python 3.12

from .codec import to_json
from .payloads import DICTS, is_any_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_PROBLEMS = 10
_MAX_SHOWN_CHARS = 80

UNUSABLE = (PydanticUserError, NameError, AttributeError, SyntaxError, TypeError)
"""What annotations raise that can't be used."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a payload is to a handler.

    Attributes:
        task_name: whose payload it is, for messages.
        is_whole: the one parameter gets all of it; else each gets the value of its name.
        adapter: checks and converts it; None takes any dict.
    """

    task_name: str
    is_whole: bool
    adapter: TypeAdapter[Any] | None

    def dump(self, payload: Any) -> Any:
        """Check a payload and return it as values that JSON has.

        Raises:
            ValueError: it is not what the handler takes.
        """
        if self.adapter is None:
            return payload
        try:
            value = self.adapter.validate_python({} if payload is None else payload)
            return self.adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings="error")
        except ValidationError as error:
            raise self._refusal(error) from None
        except PydanticSerializationError as error:
            raise ValueError(f"the payload of task {self.task_name!r} has no JSON: {error}") from error

    def load(self, payload: dict[str, Any]) -> Any:
        """Check a stored payload and return what the handler takes.

        Raises:
            ValueError: it is not that.
        """
        if self.adapter is None:
            return payload
        try:
            # As JSON, which it was: a strict model takes a date's text from JSON alone.
            return self.adapter.validate_json(to_json(payload))
        except ValidationError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: ValidationError) -> ValueError:
        problems = [_told(problem) for problem in error.errors(include_url=False, include_context=False)]
        more = f"; and {len(problems) - _MAX_PROBLEMS} more" if len(problems) > _MAX_PROBLEMS else ""
        return ValueError(
            f"the payload of task {self.task_name!r} is not what its handler takes: "
            f"{'; '.join(problems[:_MAX_PROBLEMS])}{more}"
        )


def record(task_name: str, hint: Any) -> Shape | None:
    """Return the shape of a payload that is one record; None if such a thing is none."""
    if is_any_dict(hint):
        return Shape(task_name, is_whole=True, adapter=None)
    return Shape(task_name, is_whole=True, adapter=TypeAdapter(hint)) if _is_record(hint) else None


def arguments(task_name: str, fields: Mapping[str, Any], *, takes_more: bool) -> Shape:
    """Return the shape of a payload whose fields are the arguments."""
    make: Any = TypedDict  # with fields that are known when it runs, which type checkers don't like
    given = make("arguments", fields)
    given.__pydantic_config__ = {"extra": "allow" if takes_more else "forbid"}
    return Shape(task_name, is_whole=False, adapter=TypeAdapter(given))


def _is_record(hint: Any) -> bool:
    """Whether an annotation takes values whose JSON is an object."""
    if get_origin(hint) is Annotated:
        return _is_record(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        return all(map(_is_record, get_args(hint)))
    hint = get_origin(hint) or hint
    if hint in DICTS or is_typeddict(hint):
        return True
    return isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, BaseModel))


def _told(problem: Any) -> str:
    where = ".".join(map(str, problem["loc"])) or "the payload"
    if problem["type"] == "missing":
        return f"{where}: it is missing"
    if problem["type"] == "extra_forbidden":
        return f"{where}: there is no such argument"
    try:
        shown = repr(problem["input"])
    except Exception:
        shown = f"of type {type(problem['input']).__name__}"
    if len(shown) > _MAX_SHOWN_CHARS:
        shown = f"{shown[:_MAX_SHOWN_CHARS]}…"
    return f"{where}: {problem['msg']} (it is {shown})"
