"""Where the event loop stands, and whose coroutine that is: for who reads that it is blocked."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import threading
import traceback
from asyncio import base_events, events, runners
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.current import running_lease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from .job import Job

    Tasks = dict[asyncio.Task[Any], Job | None]

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# What lies between the start of the loop's thread and the handler that it runs.
_OURS = tuple(
    str(Path(__file__).with_name(f"{name}.py")) for name in ("loop", "coroutine_pool", "batch_execution", "execution")
)
_ON_THE_WAY = {threading.__file__, runners.__file__, base_events.__file__, events.__file__, *_OURS}


def stack_in(thread: int) -> list[traceback.FrameSummary]:
    """Return the stack of the loop's thread, from the handler on."""
    frame = sys._current_frames().get(thread)
    frames = traceback.extract_stack(frame) if frame is not None else []
    return list(dropwhile(lambda each: each.filename in _ON_THE_WAY, frames))


def place_in(stack: list[traceback.FrameSummary]) -> traceback.FrameSummary:
    """Return the innermost line that is the application's own, if there is one."""
    return next((each for each in reversed(stack) if not each.filename.startswith(_LIBRARIES)), stack[-1])


def name_of(task: asyncio.Task[Any] | None, running: Tasks, stack: list[traceback.FrameSummary]) -> str:
    """Return who runs there, for a reader: the task and its handler, or the function."""
    job = None if task is None else running.get(task)
    if job is None and task is not None and hasattr(task, "get_context"):  # from Python 3.12 on
        # A coroutine that a handler has started.
        lease = task.get_context().get(running_lease)
        job = next((each for each in running.values() if each is not None and each.lease is lease), None)
    if job is None:
        return repr(stack[0].name)
    function = job.handler.function
    return f"task {job.lease.id} ({job.name}), handler {getattr(function, '__qualname__', repr(function))!r},"


def awaiting(coroutine: Any) -> Iterator[tuple[FrameType, int]]:
    """Give the frames of a coroutine that is suspended, and of those it awaits, from the handler on."""
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        if frame.f_code.co_filename not in _OURS:
            yield frame, frame.f_lineno
        coroutine = coroutine.cr_await
