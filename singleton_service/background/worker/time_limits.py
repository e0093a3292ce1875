"""The thread that keeps time: it looks at the seats when the next limit is over, and at nothing else."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .job import Job
    from .seat import Order, Seat


class TimeLimits:
    """Watches the seats of one executor. Its thread starts with the first job that has a limit."""

    def __init__(self, grace_s: float, give_up: Callable[[Seat, Job], None]) -> None:
        self._grace_s = grace_s
        self._give_up = give_up
        self._seats: list[Seat] = []
        self._changed = threading.Condition()
        self._looks_at = math.inf
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def add(self, seat: Seat) -> None:
        """Watch a seat, too."""
        with self._changed:
            self._seats.append(seat)

    def expect(self, at: float) -> None:
        """Say that a job has begun, or was interrupted, that wants a look at that time.monotonic()."""
        if at < self._looks_at:
            with self._changed:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._keep_time, name="worker-time-limits", daemon=True)
                    self._thread.start()
                self._changed.notify()

    def interrupt(self, job: Job, order: Order) -> None:
        """Interrupt a job, once, if it sits in one of the seats; it has the same grace to end."""
        now = time.monotonic()
        if any(seat.interrupt(job, order, now) for seat in self._seats):
            # At once: it may have to wait for a harmless moment.
            self.expect(now)

    def stop(self) -> None:
        """Interrupt nobody any more."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _keep_time(self) -> None:
        while True:
            with self._changed:
                if self._is_stopping:
                    return
                # Whoever begins from here on waits for the lock, and then wakes this thread again.
                self._looks_at = math.inf
                now = time.monotonic()
                looks = [(seat, *seat.look(now, self._grace_s)) for seat in self._seats]
                given_up = [(seat, job) for seat, _, job in looks if job is not None]
                if given_up:
                    self._seats = [seat for seat in self._seats if not seat.is_given_up]
                else:
                    self._looks_at = min((at for _, at, _ in looks), default=math.inf)
                    wait_s = self._looks_at - now
                    self._changed.wait(wait_s if wait_s < threading.TIMEOUT_MAX else None)
            for seat, job in given_up:
                self._give_up(seat, job)
