"""Where another process finds a function: its module, and its name there."""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def place_of(task_name: str, function: Callable[..., Any]) -> tuple[str, str]:
    """Return the module of *function* and its dotted name there.

    Raises:
        TypeError: no other process can import it.
    """
    if inspect.ismethod(function):
        owner, inner = function.__self__, function.__func__
        module, qualname = getattr(owner, "__module__", None), getattr(owner, "__qualname__", None)
        qualname = qualname and f"{qualname}.{inner.__name__}"
    else:
        module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if module is None or qualname is None:
        raise _refusal(task_name, function, "it is an object, not a function")
    if "<lambda>" in qualname:
        raise _refusal(task_name, function, "it is a lambda")
    if "<locals>" in qualname:
        raise _refusal(task_name, function, "it is defined inside a function")
    main = sys.modules["__main__"]
    if module == "__main__" and not (hasattr(main, "__file__") or getattr(main, "__spec__", None)):
        raise _refusal(task_name, function, "it was typed in, and is in no file")
    return module, qualname


def find(module: str, qualname: str) -> Any:
    """Import what lies at a place.

    Raises:
        Exception: whatever the module raises; AttributeError: there is no such name in it.
    """
    return reduce(getattr, qualname.split("."), importlib.import_module(module))


def _refusal(task_name: str, function: Callable[..., Any], why: str) -> TypeError:
    shown = getattr(function, "__qualname__", None) or repr(function)
    return TypeError(
        f"the handler of task {task_name!r}, {shown}, can't run in a process of its own, which has to import it: "
        f"{why}. Define it with def at the top of a module, or leave execution='process' out"
    )
