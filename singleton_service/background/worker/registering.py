"""How what an application writes for its workers comes on their lists."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

# In the order in which they first registered something; as a dict, for there is no ordered set.
MODULES: dict[str, None] = {}


def register(known: list[Any], function: Callable[..., object], *, takes: Sequence[str]) -> None:
    """Put *function* on a list, in the place of an earlier definition of it if there is one.

    Raises:
        TypeError: it can't be called with as many arguments as *takes* names.
    """
    check_call(function, takes)
    note_module()
    definition = _definition(function)
    for n, earlier in enumerate(known):
        # A module that is reloaded, or run as __main__ and imported, defines the same function again.
        if earlier == function or (definition is not None and _definition(earlier) == definition):
            known[n] = function
            return
    known.append(function)


def note_module() -> None:
    """Note which module registers something now: other processes of the worker import it to have the same."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    if frame is not None:
        MODULES.setdefault(frame.f_globals.get("__name__", "__main__"))


def modules() -> list[str]:
    """Return the modules to import; the main one comes into another process by itself."""
    return [name for name in MODULES if name not in {"__main__", "__mp_main__"}]


def check_call(function: object, takes: Sequence[str]) -> None:
    """See that *function* can be called with as many arguments as *takes* names.

    Raises:
        TypeError: it can't.
    """
    wanted = ", ".join(takes) or "nothing"
    if not callable(function):
        raise TypeError(f"{function!r} can't be called: pass a function that takes {wanted}")
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return  # some that are written in C don't tell
    try:
        signature.bind(*takes)
    except TypeError as error:
        raise TypeError(f"{name_of(function)}{signature} can't be used here: it has to take {wanted}") from error


def name_of(function: object) -> str:
    """Name a function for a reader."""
    name = getattr(function, "__qualname__", None)
    return repr(function) if name is None else f"{getattr(function, '__module__', '?')}.{name}"


def _definition(function: object) -> tuple[str, int, str] | None:
    """Return where a function was defined; None for those of which one definition makes several."""
    name = getattr(function, "__qualname__", "<")
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    if code is None or "<" in name or getattr(function, "__self__", None) is not None:
        return None
    return code.co_filename, code.co_firstlineno, name
