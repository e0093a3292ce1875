"""Whether one service still answers: asked now and then, and at once when somebody has reason to doubt it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from singleton_service._health import PING_TIMEOUT_S, complaint
from singleton_service._loops import running_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service import BaseService

logger = logging.getLogger("singleton_service.worker")

# A service that answers promptly makes nobody wait longer; one that hangs keeps a worker's threads no longer than this.
_PATIENCE_S = 0.5
# Handlers that fail all the time, through no fault of the service, have it asked no more often than this, and for at
# most a tenth of the time.
_LEAST_GAP_S, _GAP_PER_PING = 0.1, 10
_FIRST_AGAIN_S, _LONGEST_AGAIN_S = 1.0, 30.0
# A reason goes into the record of every task that is held.
_LONGEST_REASON = 300


class ServicePulse:
    """Asks one service from a thread of its own: a ping that hangs costs that thread, and no further one.

    Attributes:
        is_calm: the last answer was good and nobody doubts it: no need to ask for `trouble`. Any thread may look.
    """

    def __init__(self, service: type[BaseService], every_s: float, affected: Callable[[], str]) -> None:
        """Begin to ask *service* every *every_s* seconds; *affected* says in words whose tasks depend on it."""
        self.is_calm = False
        self._service = service
        self._every_s = every_s
        self._affected = affected
        self._changed = threading.Condition()
        self._is_stopping = False
        self._reason: str | None = None
        self._misses = 0
        # All of these are time.monotonic() seconds.
        self._due_at = time.monotonic()
        self._doubted_at: float | None = self._due_at
        self._asked_at: float | None = None
        self._next_doubt_at = self._due_at
        self._thread = threading.Thread(target=self._run, name=f"worker-ping-{service.__name__}", daemon=True)
        self._thread.start()

    def trouble(self) -> str | None:
        """Return why the service can't be used now; None if it can. Waits half a second for an answer after a doubt."""
        with self._changed:
            if self._reason is None and self._doubted_at is not None:
                # Not on an event loop: it may be the one on which the service answers.
                if running_loop() is None:
                    left_s = self._doubted_at + _PATIENCE_S - time.monotonic()
                    self._changed.wait_for(lambda: self._doubted_at is None, max(0.0, left_s))
                if self._doubted_at is not None and self._reason is None and not self._is_overdue():
                    return f"{self._service.__name__} is not answering: it has been asked, and says nothing yet"
            if self._reason is None and self._is_overdue():
                self._note(f"took longer than {PING_TIMEOUT_S:g} s")
            return self._reason

    def doubt(self) -> None:
        """Say that something failed that needs the service: the next `trouble` is an answer given from now on."""
        with self._changed:
            now = time.monotonic()
            if self._doubted_at is not None:
                return
            if self._asked_at is None:
                self._due_at = min(self._due_at, max(now, self._next_doubt_at))
            if now >= self._next_doubt_at:
                self._doubted_at = now
                self.is_calm = False
            self._changed.notify_all()

    def stop(self) -> None:
        """Ask no more. Returns at once."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread, which a ping that hangs puts off for ever."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while self._comes_its_time():
            self._take(complaint(self._service))

    def _comes_its_time(self) -> bool:
        with self._changed:
            while not self._is_stopping:
                now = time.monotonic()
                if now >= self._due_at:
                    self._asked_at = now
                    self.is_calm = False
                    return True
                self._changed.wait(self._due_at - now)
            return False

    def _take(self, answer: str | None) -> None:
        with self._changed:
            now = time.monotonic()
            took_s = now - (self._asked_at or now)
            self._asked_at = self._doubted_at = None
            self._next_doubt_at = now + max(_LEAST_GAP_S, _GAP_PER_PING * took_s)
            self._misses = 0 if answer is None else self._misses + 1
            self._due_at = now + min(self._every_s, _again_s(self._misses))
            self._note(answer)
            self.is_calm = answer is None
            self._changed.notify_all()

    def _is_overdue(self) -> bool:
        return self._asked_at is not None and time.monotonic() - self._asked_at > PING_TIMEOUT_S

    def _note(self, answer: str | None) -> None:
        name = self._service.__name__
        if answer is None:
            if self._reason is not None:
                logger.info("%s answers again: tasks of %s go on", name, self._affected())
            self._reason = None
            return
        was_good = self._reason is None
        self._reason = f"{name} is not answering: {answer}"[:_LONGEST_REASON]
        if was_good and not self._is_stopping:
            logger.error("%s. Tasks of %s are held until it does; other tasks go on", self._reason, self._affected())


def _again_s(misses: int) -> float:
    """Return the seconds until a service is asked again that has not answered so many times; infinity for none."""
    return min(_FIRST_AGAIN_S * 2 ** min(misses - 1, 30), _LONGEST_AGAIN_S) if misses else float("inf")
