"""Where a handler sits that runs: the one place where it can be interrupted, and only while it is there."""

from __future__ import annotations

import functools
import math
import sys
import threading
from enum import Enum
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.errors import TaskInterrupted

from .throwing import take_back, throw_if_harmless

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable

    from .job import Job


_A_MOMENT_S = 0.001
_LOOK_AGAIN_S = 0.02


class Order(Enum):
    """Why a handler is interrupted."""

    TIME_LIMIT = "time limit"
    CANCEL = "cancel"
    STOP = "stop"
    """It is cut off by a stop of the workers, and its task runs again."""


class Seat:
    """Belongs to one pool thread, which calls handlers through it, or to one coroutine after another on the loop.

    Other threads interrupt the job that sits here.

    A plain handler gets `TaskInterrupted` thrown into its thread (PyThreadState_SetAsyncExc in CPython's C API, which
    takes effect at the thread's next Python instruction), a coroutine is cancelled. What is thrown is either delivered
    while the handler runs or taken back before the thread does anything else: at most one arrives per job, and the lock
    decides whether the handler's end came first.

    Attributes:
        is_given_up: the place is left to a handler that can't be stopped.
        task: in which task of the event loop coroutines sit here; None: in whichever they are awaited.
    """

    __slots__ = (
        "_cancel",
        "_expect",
        "_is_open",
        "_is_owed",
        "_is_thrown",
        "_job",
        "_lock",
        "_struck_at",
        "_thread_id",
        "is_given_up",
        "task",
    )

    def __init__(self, expect: Callable[[float], None]) -> None:
        """Make the calling thread's seat.

        Args:
            expect: called at the start of a job with a time limit: when the seat wants a `look`.
        """
        self._expect = expect
        self._lock = threading.Lock()
        self._thread_id = threading.get_ident()
        self._job: Job | None = None
        self._cancel: Callable[[], object] | None = None
        self._is_open = False
        self._is_owed = False
        self._is_thrown = False
        self._struck_at: float | None = None
        self.is_given_up = False
        self.task: Task[Any] | None = None
        _here.seat = self

    def call(self, job: Job, function: Callable[[Any], Any], payload: Any) -> Any:
        """Call a handler, and return or raise what it does."""
        result: Any = None
        error: BaseException | None = None
        has_ended = False
        self._announce(job)
        try:
            # From here on an interruption may come between any two instructions: no lock but C's own is safe in it.
            self._is_open = True
            try:
                result = function(payload)
            except BaseException as raised:
                error = raised
            has_ended = True
            self.leave()
        except TaskInterrupted as late:
            # It came just before or after the handler, and it is the only one.
            if not has_ended and error is None:
                error = late
            self.leave()
        if error is not None:
            raise error
        return result

    def enter(self, job: Job, cancel: Callable[[], object]) -> None:
        """Have a coroutine sit here; *cancel* interrupts it. Called by whoever awaits it, or waits for it."""
        with self._lock:
            self._cancel = cancel
        self._announce(job)
        self._is_open = True

    def leave(self) -> None:
        """The handler has ended: nothing reaches it from now on."""
        with self._lock:
            self._is_open = self._is_owed = False
            self._job = self._cancel = self._struck_at = None
            if self._is_thrown:
                self._is_thrown = False
                take_back(self._thread_id)

    def interrupt(self, job: Job, order: Order, now: float) -> bool:
        """Interrupt the job if it sits here and was not interrupted before; whether that was so."""
        with self._lock:
            return self._job is job and self._is_open and self._strike(job, order, now)

    def look(self, now: float, grace_s: float) -> tuple[float, Job | None]:
        """Interrupt the job here if its time is over; give it up if that was *grace_s* ago.

        Args:
            now: time.monotonic() seconds, as are all times here.
            grace_s: how long an interrupted handler may take to end.

        Returns:
            When to look again (infinity: no need), and the job that was given up.
        """
        with self._lock:
            job = self._job
            if job is None or self.is_given_up:
                return math.inf, None
            if self._struck_at is None:
                if now < job.deadline:
                    return job.deadline, None
                if not self._is_open:
                    return now + _A_MOMENT_S, None
                self._strike(job, Order.TIME_LIMIT, now)
            if self._is_owed:
                self._throw_if_harmless()
            struck_at = self._struck_at or now
            if now < struck_at + grace_s:
                # Looked at meanwhile, for what was thrown may be lost.
                return now + (_A_MOMENT_S if self._is_owed else _LOOK_AGAIN_S), None
            # Neither an exception nor a cancellation reaches it: the place is left to it.
            self.is_given_up = job.is_abandoned = True
            return math.inf, job

    def lost(self) -> bool:
        """Say, in its thread, that what was thrown into it got lost; whether it was thrown. It is thrown again."""
        # Without the lock, which this very thread may hold.
        self._is_owed = self._is_thrown and self._is_open
        return self._is_thrown

    def has(self, job: Job) -> bool:
        """Whether the job sits here now. For the thread that has it come and go."""
        return self._job is job

    @property
    def thread_id(self) -> int:
        """The thread whose seat it is."""
        return self._thread_id

    def _announce(self, job: Job) -> None:
        # First where whoever keeps time sees it, then a word to them: in between they may have looked already.
        self._job = job
        if job.deadline < math.inf:
            self._expect(job.deadline)

    def _strike(self, job: Job, order: Order, now: float) -> bool:
        if self._struck_at is not None:
            return False
        self._struck_at = now
        job.tell(order)
        if self._cancel is not None:
            self._cancel()
        else:
            self._throw_if_harmless()
        return True

    def _throw_if_harmless(self) -> None:
        _mind_losses()
        # Before it arrives: whoever hears that it is lost looks at both.
        self._is_owed, self._is_thrown = False, True
        if not throw_if_harmless(self._thread_id):
            self._is_owed, self._is_thrown = True, False


def arrive(*_: object) -> None:
    """Handle a signal, in a main thread that has a seat: what was thrown into it arrives here at the latest.

    Sent after an interruption it need not wait for the end of a `time.sleep` or a read.
    """


_here = threading.local()


@functools.cache
def _mind_losses() -> None:
    """Have an interruption thrown again that nobody can catch: it came in a `__del__`, or what the collector calls."""
    earlier = sys.unraisablehook

    def hear(unraisable: sys.UnraisableHookArgs) -> None:
        seat: Seat | None = getattr(_here, "seat", None)
        if unraisable.exc_type is not TaskInterrupted or seat is None or not seat.lost():
            earlier(unraisable)

    sys.unraisablehook = hear
