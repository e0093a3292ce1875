"""One setting: its default, its rule, and how its text is read."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Setting", "setting"]

# Fewer than a float or pydantic would round or refuse.
_DIGITS: Final = re.compile(r"[0-9]{1,15}")
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_KINDS: Final[dict[Any, str]] = {float: "a number", int: "a whole number", bool: "true or false"}


def setting(
    default: object,
    *,
    meaning: str,
    at_least: float | None = None,
    at_most: float | None = None,
    check: Callable[[Any], Any] | None = None,
) -> Any:
    """Define a setting; the class attribute's annotation says its kind.

    Args:
        default: what it is when it is not given.
        meaning: as the reference tells it.
        at_least: the least number it may be.
        at_most: the largest.
        check: returns what the value becomes, or raises a RuleError; it is not asked about None.
    """
    return Setting(default, meaning, at_least, at_most, check)


class Setting:
    """A setting. Read of an instance of its class it is the value, there or by default.

    Attributes:
        default, meaning, at_least, at_most, check: as given to `setting`.
        annotation: its kind, with None where it may be unset.
    """

    def __init__(
        self,
        default: object,
        meaning: str,
        at_least: float | None,
        at_most: float | None,
        check: Callable[[Any], Any] | None,
    ) -> None:
        self.default = default
        self.meaning = meaning
        self.at_least = at_least
        self.at_most = at_most
        self.check = check
        self.annotation: Any = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.annotation = owner.__annotations__[name]

    def __get__(self, instance: object | None, _owner: type) -> object:
        return self if instance is None else self.default

    @property
    def kind(self) -> Any:
        """Its type, once it is set."""
        if get_origin(self.annotation) is Literal:
            return self.annotation
        return next((kind for kind in get_args(self.annotation) if kind is not NoneType), self.annotation)

    @property
    def rule(self) -> str:
        """Its rule in words, as "a number from 2 to 300"."""
        if get_origin(self.kind) is Literal:
            return "one of " + ", ".join(get_args(self.kind))
        words = _KINDS.get(self.kind, "text")
        return words if self.at_least is None else f"{words} from {self.at_least} to {self.at_most}"

    def read(self, text: str) -> Any:
        """Return what *text* means, if it is written plainly.

        Raises:
            ValueError: it is not, or breaks the rule: pydantic tells which.
        """
        value = self._plain(text)
        if self.at_least is not None and self.at_most is not None and not self.at_least <= value <= self.at_most:
            raise ValueError(self.rule)
        return value if self.check is None else self.check(value)

    def _plain(self, text: str) -> Any:
        kind = self.kind
        if kind is int and _DIGITS.fullmatch(text):
            return int(text)
        if kind is float and _NUMBER.fullmatch(text):
            return float(text)
        if kind is bool and text in {"true", "false"}:
            return text == "true"
        if kind in {str, Path} and text.isascii():
            return kind(text)
        if get_origin(kind) is Literal and text in get_args(kind):
            return text
        raise ValueError(self.rule)
