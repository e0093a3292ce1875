"""The coroutines on the event loop: each job is one, from its handler's call to its end; no thread waits for it."""

from __future__ import annotations

import contextvars
import logging
import threading
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


class CoroutinePool:
    """The executor of coroutines: so many seats on the one loop of the process; one not to be had back is replaced.

    Its duties are those of `Executor`. Jobs are handed over through a deque, many with one call: the loop takes them
    whenever it comes round, as many as have a seat.
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
        while self._busy < self.size:
            try:
                job = self._inbox.popleft()
            except IndexError:
                return
            self._begin(job)

    def _begin(self, job: Job) -> None:
        seat = self._free.pop() if self._free else self._new_seat()
        # A context of its own: what a handler sets there is nobody else's.
        loop = self._loop.loop
        assert loop is not None
        task = loop.create_task(self._run(job, seat), context=self._context.copy())
        self._busy += 1
        self._loop.watch.enter(task, job)

    def _new_seat(self) -> Seat:
        seat = Seat(self._limits.expect)
        self._limits.add(seat)
        return seat

    async def _run(self, job: Job, seat: Seat) -> None:
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        task = asyncio.current_task()
        assert task is not None
        try:
            await self._execution.run_async(job, seat)
        finally:
            self._loop.watch.leave(task)
            if seat.is_given_up:
                self._in_thread(self._execution.overdue, job)
            else:
                self._free.append(seat)
                self._busy -= 1
            if job.is_abandoned:
                tell_of_drop(job)
            else:
                self._done.append(job)
                self._ring()
            self._fill()

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
