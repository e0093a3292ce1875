"""The coroutines on the event loop: each job is one, from its handler's call to its end; no thread waits for it."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from .executor import executor_here, take_all, tell_of_drop
from .seat import Seat
from .thread_resources import CLOSING_S, has_open
from .time_limits import TimeLimits

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable

    from .execution import Execution
    from .executor import Kind
    from .job import Job
    from .loop import HandlerLoop
    from .seat import Order

logger = logging.getLogger("singleton_service.worker")

_A_MOMENT_S = 0.1
# Jobs that wait for nothing follow each other for so long, before the loop goes round.
_IN_A_ROW_S = 0.002


class CoroutinePool:
    """The executor of coroutines: so many seats on the one loop of the process; one not to be had back is replaced.

    Its duties are those of `Executor`. Jobs are handed over through a deque, many with one call: the loop takes them
    whenever it comes round, as many as have a seat.

    Each that waits for anything has an asyncio task of its own. One that ends without, and leaves nothing behind,
    leaves its task to the next: to make one and have the loop begin it is a fifth of what a small job costs.
    """

    kind: Kind = "async"

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        size: int,
        execution: Execution,
        loop: HandlerLoop,
        done: deque[Job],
        ring: Callable[[], None],
        grace_s: float,
    ) -> None:
        self.size = size
        self._execution = execution
        self._loop = loop
        self._done = done
        self._ring = ring
        self._inbox: deque[Job] = deque()
        self._is_called = False
        self._is_closed = False
        self._is_closing = False
        self._last: Task[None] | None = None
        # Who began last, until the loop comes round: if it goes on then, it has waited for something.
        self._beginner: Task[None] | None = None
        self._ends_at = 0.0
        # Whether the last job could not leave its task to the next.
        self._needs_own = False
        self._has_ended = threading.Event()
        self._limits = TimeLimits(grace_s, self._replace)
        self._busy = 0
        self._free: list[Seat] = []
        self._context = contextvars.Context()
        self._context.run(executor_here.set, self)

    def start(self) -> None:
        """Do nothing: the loop begins with the first job."""

    def submit(self, job: Job) -> None:
        """Have a job begin as soon as there is a seat."""
        self._inbox.append(job)
        if not self._is_called:
            self._is_called = True
            try:
                self._loop.call_soon(self._fill)
            except RuntimeError as error:
                # No thread for the loop, or it was stopped: as nothing begins, the job will be taken back.
                self._is_called = False
                logger.error("coroutines can't run: %s. Their tasks are handed back", error)  # noqa: TRY400 - says it all

    def cancel(self, job: Job, order: Order) -> None:
        """Cancel the job's coroutine if it runs here; if it has not begun, it won't be."""
        if job.has_begun:
            self._limits.interrupt(job, order)
        else:
            job.order = order

    def abandon(self, job: Job) -> None:
        """Leave it to the end of the loop."""

    def take_back(self) -> list[Job]:
        """Return the jobs that have no seat yet; they won't run here."""
        return take_all(self._inbox)

    def close(self) -> None:
        """Interrupt nobody any more. Coroutines that still run end with their loop."""
        self._is_closed = True
        self._limits.stop()

    def join(self, timeout_s: float) -> None:
        """Cancel what still runs, wait for it at most *timeout_s*, and close what is open for coroutines on the loop.

        The loop itself goes on: whoever began it stops it.
        """
        if self._loop.loop is None:
            return
        with suppress(RuntimeError):  # it was stopped
            self._loop.call_soon(partial(self._end, timeout_s))
            if not self._has_ended.wait(timeout_s + _A_MOMENT_S) and self._is_closing:
                self._has_ended.wait(CLOSING_S)

    def alive(self) -> list[str]:
        """Return the loop's thread if it is a straggler: coroutines are no workers to be counted."""
        return ["worker-asyncio"] if self._is_closed and self._loop.is_alive else []

    @property
    def is_callers(self) -> bool:
        """Whether the caller is a handler that runs here."""
        return executor_here.get() is self

    # On the loop

    def _fill(self) -> None:
        # In this order: a job that comes after the look into the inbox makes another call.
        self._is_called = False
        number = min(len(self._inbox), self.size - self._busy)
        for _ in range(number if self._needs_own else min(number, 1)):
            self._begin()

    def _come_round(self) -> None:
        beginner, self._beginner = self._beginner, None
        if beginner is not None and not beginner.done():
            self._needs_own = True
        self._fill()

    def _begin(self) -> None:
        seat = self._free.pop() if self._free else self._new_seat()
        loop = self._loop.loop
        assert loop is not None
        # A context of its own: what a handler sets there is nobody else's.
        seat.task = loop.create_task(self._run(seat), context=self._context.copy())
        self._busy += 1

    def _new_seat(self) -> Seat:
        seat = Seat(self._limits.expect)
        self._limits.add(seat)
        return seat

    async def _run(self, seat: Seat) -> None:
        """Do a job, and the next ones as long as each leaves the task as it found it."""
        task = seat.task
        assert task is not None
        watch, run = self._loop.watch, self._execution.run_async
        try:
            while (job := self._next(task)) is not None:
                watch.enter(task, job)
                try:
                    await run(job, seat)
                finally:
                    watch.leave(task)
                    self._report(job, seat)
                self._needs_own = not self._is_as_new(task, seat)
                if self._needs_own:
                    break
        finally:
            seat.task = None
            if not seat.is_given_up:
                self._free.append(seat)
                self._busy -= 1
            if job is not None:
                self._fill()

    def _next(self, task: Task[None]) -> Job | None:
        """Return the job that begins now; None: there is none, or others on the loop come first."""
        if self._beginner is not None and time.monotonic() >= self._ends_at:
            return None
        try:
            job = self._inbox.popleft()
        except IndexError:
            return None
        if self._beginner is None:
            self._is_called = True
            task.get_loop().call_soon(self._come_round)
            self._ends_at = time.monotonic() + _IN_A_ROW_S
        self._beginner = task
        return job

    def _is_as_new(self, task: Task[None], seat: Seat) -> bool:
        """Whether the job that has just ended waited for nothing, and left nothing in the task or its context."""
        is_fresh = self._beginner is task and not seat.is_given_up and not task.cancelling()
        return is_fresh and contextvars.copy_context() == self._context

    def _report(self, job: Job, seat: Seat) -> None:
        if seat.is_given_up:
            self._in_thread(self._execution.overdue, job)
        if job.is_abandoned:
            tell_of_drop(job)
        else:
            self._done.append(job)
            self._ring()

    def _end(self, timeout_s: float) -> None:
        loop = self._loop.loop
        assert loop is not None
        self._last = loop.create_task(self._leave(timeout_s))

    async def _leave(self, timeout_s: float) -> None:
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        left = [task for task, job in self._loop.watch.running.items() if job is not None and job.kind == self.kind]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=timeout_s)
        self._is_closing = has_open()
        await self._loop.keeper.close()
        self._has_ended.set()

    # From other threads

    def _replace(self, _seat: Seat, job: Job) -> None:
        """Give another job the place of one whose coroutine can't be stopped."""
        job.stuck_at = self._loop.watch.stack_of(job)
        self._in_thread(self._execution.give_up, job)

        def open_another() -> None:
            self._busy -= 1
            self._fill()

        with suppress(RuntimeError):
            self._loop.call_soon(open_another)

    def _in_thread(self, judge: Callable[[Job], Job | None], job: Job) -> None:
        """Report what is to be said of a job that was given up. Asks on_error, which may take as long as it likes."""

        def report() -> None:
            if (lost := judge(job)) is not None:
                self._done.append(lost)
                self._ring()

        threading.Thread(target=report, name="worker-given-up", daemon=True).start()
