"""Tracebacks as the author of a handler wants to read them: from the handler on."""

from __future__ import annotations

import contextlib
import traceback
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from . import loop, scopes, seat

if TYPE_CHECKING:
    from types import TracebackType

# A plain handler is called from there; a coroutine's error comes back through the loop and its future.
ON_THE_WAY = {
    *(str(Path(__file__).with_name(name)) for name in ("execution.py", "batch_execution.py")),
    loop.__file__,
    scopes.__file__,
    seat.__file__,
    contextlib.__file__,
    Future.result.__code__.co_filename,
}


def told(error: BaseException) -> str:
    """Return the traceback from the handler on, as text."""
    whole = traceback.TracebackException(type(error), error, from_handler_on(error))
    if whole.stack and whole.stack[-1].filename == seat.__file__:
        del whole.stack[-1]  # where an interruption arrived
    return "".join(whole.format())


def from_handler_on(error: BaseException) -> TracebackType | None:
    """Return the traceback without the frames that led to the handler, which are of no use to its author."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in ON_THE_WAY:
        trace = trace.tb_next
    return trace


def shown(error: BaseException) -> str:
    """Return an error's message; where it has none, what it is."""
    try:
        return str(error) or repr(error)
    except Exception:
        return "(an error that can't be shown)"
