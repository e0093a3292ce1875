"""Whether the event loop goes round: a coroutine that holds it up is reported, with the line where it stands."""

from __future__ import annotations

import asyncio
import logging
import sys
import sysconfig
import threading
import time
import traceback
from asyncio import base_events, events, runners
from contextlib import suppress
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.current import running_lease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from .job import Job

    Tasks = dict[asyncio.Task[Any], Job | None]

logger = logging.getLogger("singleton_service.worker")

_ROUNDS_PER_BLOCK = 4
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# What lies between the start of the loop's thread and the handler that it runs.
_OURS = tuple(
    str(Path(__file__).with_name(f"{name}.py")) for name in ("loop", "coroutine_pool", "batch_execution", "execution")
)
_ON_THE_WAY = {threading.__file__, runners.__file__, base_events.__file__, events.__file__, *_OURS}


class LoopWatch:
    """Asks the loop now and then to call back, as long as something runs on it, from a thread of its own.

    Attributes:
        blocked_s: after how many seconds without an answer the loop is blocked.
        running: the handlers' asyncio tasks and their jobs. Changed on the loop, read anywhere.
        last_block: what it reported last, in one line; "" as long as nothing was.
    """

    def __init__(self) -> None:
        self.blocked_s = 1.0
        self.running: Tasks = {}
        self.last_block = ""
        self._changed = threading.Condition()
        self._is_awake = False
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop
        self._loop_thread = 0
        self._answer = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, task: asyncio.Task[Any], job: Job | None) -> None:
        """Say, on the loop, that something begins to run there; it is kept alive until it leaves."""
        self.running[task] = job
        if not self._is_awake:
            self._wake()

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Say, on the loop, that it has ended."""
        del self.running[task]

    def stack_of(self, job: Job) -> str:
        """Return where the job's coroutine stands, as the lines of a traceback."""
        task = next((task for task, its_job in self.running.copy().items() if its_job is job), None)
        if task is None:
            return ""
        if asyncio.current_task(self._loop) is task:
            return "".join(traceback.format_list(self._stack()))
        return "".join(traceback.StackSummary.extract(_awaiting(task.get_coro())).format())

    def stop(self) -> None:
        """Watch no more."""
        with self._changed:
            self._is_stopping = True
            self._answer.set()  # which a loop that has ended never gives
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _wake(self) -> None:
        with self._changed:
            self._is_awake = True
            if self._thread is None and not self._is_stopping:
                self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
                thread = threading.Thread(target=self._keep_watch, name="worker-loop-watch", daemon=True)
                with suppress(RuntimeError):  # no more threads to be had: nobody watches, but all goes on
                    thread.start()
                    self._thread = thread
            self._changed.notify()

    def _keep_watch(self) -> None:
        while self._comes_its_time():
            asked_at = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answer.set)
            except RuntimeError:  # it has ended
                return
            if not self._answer.wait(self.blocked_s):
                self._report(self._answer, asked_at)

    def _comes_its_time(self) -> bool:
        """Wait until it is time to ask; whether it is, and not the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, self.blocked_s / _ROUNDS_PER_BLOCK)
            # In this order: what enters after the look at `running` finds that it has to wake somebody.
            self._is_awake = False
            self._is_awake = bool(self.running)
            self._changed.wait_for(lambda: self._is_stopping or self._is_awake)
            if not self._is_stopping:
                self._answer = threading.Event()
            return not self._is_stopping

    def _report(self, answer: threading.Event, asked_at: float) -> None:
        task = asyncio.current_task(self._loop)
        running, stack = self.running.copy(), self._stack()
        if answer.is_set() or not stack:
            return  # it went on just now, and what was seen need not have been the cause
        others = len(running) - (task in running)
        name, place = _name_of(task, running, stack), _place_in(stack)
        where = f"at {place.filename}, line {place.lineno}"
        blocked_s = time.monotonic() - asked_at
        self.last_block = f"{name} blocked the event loop for {blocked_s:.1f} s {where}"
        logger.warning(
            "%s blocks the event loop at %s, line %s, for %.1f s now; %d other coroutines wait for it. Await what "
            "takes long, or have it done by asyncio.to_thread() or a plain function:\n%s",
            name,
            place.filename,
            place.lineno,
            blocked_s,
            others,
            "".join(traceback.format_list(stack)),
        )
        answer.wait()
        if self._is_stopping:
            return
        blocked_s = time.monotonic() - asked_at
        self.last_block = f"{name} blocked the event loop for {blocked_s:.1f} s {where}"
        logger.warning("the event loop goes on, after %.1f s; so do %d other coroutines", blocked_s, others)

    def _stack(self) -> list[traceback.FrameSummary]:
        frame = sys._current_frames().get(self._loop_thread)
        frames = traceback.extract_stack(frame) if frame is not None else []
        return list(dropwhile(lambda each: each.filename in _ON_THE_WAY, frames))


def _place_in(stack: list[traceback.FrameSummary]) -> traceback.FrameSummary:
    """Return the innermost line that is the application's own, if there is one."""
    return next((each for each in reversed(stack) if not each.filename.startswith(_LIBRARIES)), stack[-1])


def _name_of(task: asyncio.Task[Any] | None, running: Tasks, stack: list[traceback.FrameSummary]) -> str:
    job = None if task is None else running.get(task)
    if job is None and task is not None and hasattr(task, "get_context"):  # from Python 3.12 on
        # A coroutine that a handler has started.
        lease = task.get_context().get(running_lease)
        job = next((each for each in running.values() if each is not None and each.lease is lease), None)
    if job is None:
        return repr(stack[0].name)
    function = job.handler.function
    return f"task {job.lease.id} ({job.name}), handler {getattr(function, '__qualname__', repr(function))!r},"


def _awaiting(coroutine: Any) -> Iterator[tuple[FrameType, int]]:
    """Give the frames of a coroutine that is suspended, and of those it awaits, from the handler on."""
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        if frame.f_code.co_filename not in _OURS:
            yield frame, frame.f_lineno
        coroutine = coroutine.cr_await
