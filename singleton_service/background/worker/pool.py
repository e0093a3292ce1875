"""The worker threads: each takes a job, runs it, puts it with the finished ones."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
import traceback
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from .executor import executor_here, tell_of_drop
from .job import Job
from .seat import Seat
from .thread_resources import CLOSING_S, close_here, has_open
from .time_limits import TimeLimits
from .watch import Watch

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from .execution import Execution
    from .executor import Kind
    from .seat import Order

T = TypeVar("T")


class ThreadPool:
    """The executor of plain functions: daemon threads `worker-1` to `worker-N`; one not to be had back is replaced.

    Its duties are those of `Executor`.
    """

    kind: Kind = "thread"

    def __init__(
        self, size: int, execution: Execution, done: deque[Job], ring: Callable[[], None], grace_s: float
    ) -> None:
        self.size = size
        self._limits = TimeLimits(grace_s, self._replace)
        self._done = done
        self._execution = execution
        self._ring = ring
        self._inbox: SimpleQueue[Job | Watch[Any] | None] = SimpleQueue()
        self._watch: Watch[Any] | None = None
        self._closing: list[threading.Thread] = []
        self._threads = [self._thread(n) for n in range(1, size + 1)]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Have a job run by the thread that keeps watch, or by the next free one."""
        if self._watch is not None and self._watch.job is None:
            self._watch.job = job
        else:
            self._inbox.put(job)

    def watch(self, sleep: Callable[[], T]) -> T:
        """Have a free thread call *sleep*, and run the first job that is submitted in it; return or raise what it does.

        For the dispatcher's thread, while nothing is in hand: it waits for a free thread.
        """
        watch = Watch(sleep)
        self._watch = watch
        self._inbox.put(watch)
        try:
            return watch.wait()
        finally:
            self._watch = None

    def cancel(self, job: Job, order: Order) -> None:
        """Interrupt the job if its handler runs here; if it has not begun, it won't be."""
        if job.has_begun:
            self._limits.interrupt(job, order)
        else:
            job.order = order

    def abandon(self, job: Job) -> None:
        """Leave the thread to it."""

    def take_back(self) -> list[Job]:
        """Return the jobs that no thread has taken yet; they won't run here."""
        taken: list[Job] = []
        while True:
            try:
                job = self._inbox.get_nowait()
            except Empty:
                return taken
            if isinstance(job, Job):
                taken.append(job)

    def close(self) -> None:
        """Let each thread end after the job it has now."""
        self._limits.stop()
        for _ in self._threads:
            self._inbox.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the threads to end, at most *timeout_s* for all of them; longer only for resources to be closed."""
        began = time.monotonic()
        for thread in self._threads:
            thread.join(max(0.0, began + timeout_s - time.monotonic()))
        for thread in self._closing:
            thread.join(max(0.0, began + CLOSING_S - time.monotonic()))

    @property
    def is_callers(self) -> bool:
        """Whether the caller is a handler that runs in this pool."""
        return executor_here.get() is self

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread to run what comes."""
        return any(thread.is_alive() for thread in self._threads)

    def alive(self) -> list[str]:
        """Return the names of the threads that live, stragglers of a stop included."""
        return [thread.name for thread in self._threads if thread.is_alive()]

    def _thread(self, number: int, lost: Job | None = None) -> threading.Thread:
        return threading.Thread(target=self._live, args=(lost,), name=f"worker-{number}", daemon=True)

    def _replace(self, seat: Seat, job: Job) -> None:
        """Start another thread in place of one whose handler can't be stopped; it deals with that job first."""
        stuck = next(thread for thread in self._threads if thread.ident == seat.thread_id)
        job.stuck_at = "".join(traceback.format_stack(sys._current_frames().get(seat.thread_id)))
        thread = self._thread(int(stuck.name.rpartition("-")[2]), job)
        stuck.name = f"{stuck.name}-given-up"
        self._threads = [*(known for known in self._threads if known is not stuck), thread]
        thread.start()

    def _live(self, lost: Job | None) -> None:
        try:
            self._work(lost)
        finally:
            if has_open():
                self._closing.append(threading.current_thread())
                close_here()

    def _work(self, lost: Job | None) -> None:
        executor_here.set(self)
        seat = Seat(self._limits.expect)
        self._limits.add(seat)
        take, run, done, ring = self._inbox.get, self._execution.run, self._done, self._ring
        context = contextvars.copy_context()
        if lost is not None:
            done.append(self._execution.give_up(lost))
            ring()
        while (job := take()) is not None:
            if isinstance(job, Watch) and (job := job.keep()) is None:
                continue
            # What a handler leaves in context variables ends with it.
            context.copy().run(run, job, seat)
            if job.is_abandoned:
                tell_of_drop(job)
                if seat.is_given_up:
                    if (overdue := self._execution.overdue(job)) is not None:
                        done.append(overdue)
                        ring()
                    return
                continue
            done.append(job)
            # Before the next take blocks: this thread must hold on to nothing of a finished task.
            job = None
            ring()
