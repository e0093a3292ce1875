"""Tracebacks as somebody wants to see them whose own module is to blame: without our frames and Python's."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_OURS = str(Path(__file__).parents[2])
_NOT_THE_USERS = (_OURS, "<frozen", *{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def shortened(error: BaseException) -> str:
    """Return the traceback of an error and its causes, of the user's frames alone where there are any."""
    told = traceback.TracebackException.from_exception(error)
    _shorten(told)
    return "".join(told.format()).rstrip("\n")


def within_the_users(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that begins with the user's first frame; all of it if there is none."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        found = found.tb_next
    return found or trace


def _shorten(told: traceback.TracebackException | None) -> None:
    seen = set()
    while told is not None and id(told) not in seen:
        seen.add(id(told))
        users = [frame for frame in told.stack if not frame.filename.startswith(_NOT_THE_USERS)]
        # Where a library raised it helps, too, should the user's last line not say enough.
        last = told.stack[-1:] if users and told.stack[-1] is not users[-1] else []
        last = [frame for frame in last if not frame.filename.startswith((_OURS, "<frozen"))]
        told.stack = traceback.StackSummary.from_list([*users, *last])
        told = told.__cause__ or told.__context__
