"""Whether the event loop goes round: a coroutine that holds it up is reported, with the line where it stands."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from typing import Any

    from .job import Job
    from .loop_stacks import Tasks

logger = logging.getLogger("singleton_service.worker")

_ROUNDS_PER_BLOCK = 4


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
        self._loop: AbstractEventLoop
        self._loop_thread = 0
        self._answer = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, task: Task[Any], job: Job | None) -> None:
        """Say, on the loop, that something begins to run there; it is kept alive until it leaves."""
        self.running[task] = job
        if not self._is_awake:
            self._wake()

    def leave(self, task: Task[Any]) -> None:
        """Say, on the loop, that it has ended."""
        del self.running[task]

    def stack_of(self, job: Job) -> str:
        """Return where the job's coroutine stands, as the lines of a traceback."""
        import asyncio  # noqa: PLC0415 - there is a loop, so it is loaded

        from .loop_stacks import awaiting, stack_in  # noqa: PLC0415 - where coroutines hang

        task = next((task for task, its_job in self.running.copy().items() if its_job is job), None)
        if task is None:
            return ""
        if asyncio.current_task(self._loop) is task:
            return "".join(traceback.format_list(stack_in(self._loop_thread)))
        return "".join(traceback.StackSummary.extract(awaiting(task.get_coro())).format())

    def stop(self) -> None:
        """Watch no more."""
        with self._changed:
            self._is_stopping = True
            self._answer.set()  # which a loop that has ended never gives
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _wake(self) -> None:
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

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
        import asyncio  # noqa: PLC0415 - there is a loop, so it is loaded

        from .loop_stacks import name_of, place_in, stack_in  # noqa: PLC0415 - where the loop is blocked

        task = asyncio.current_task(self._loop)
        running, stack = self.running.copy(), stack_in(self._loop_thread)
        if answer.is_set() or not stack:
            return  # it went on just now, and what was seen need not have been the cause
        others = len(running) - (task in running)
        name, place = name_of(task, running, stack), place_in(stack)
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
