"""Starting dead workers again: soon at first, ever later if they keep dying."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue

from ._story import logger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._worker import AbstractWorker

__all__ = ["Backoff", "Supervisor"]


class Backoff:
    """The delays before the restarts of one worker: each twice the one before, up to the longest.

    A life that lasted as long as the longest delay counts as recovery: after it the delays begin anew.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def after(self, lived_s: float) -> float:
        """Return how long to wait, in seconds, after a life of *lived_s*."""
        if lived_s >= self._longest_s:
            self._next_s = self._first_s
        delay_s = self._next_s
        self._next_s = min(2 * delay_s, self._longest_s)
        return delay_s


class Supervisor:
    """A thread that starts again which of the workers it hears of has died, until it is told to end."""

    def __init__(self, name: str, new_backoff: Callable[[], Backoff], when_none_is_due: Callable[[], None]) -> None:
        self._new_backoff = new_backoff
        self._when_none_is_due = when_none_is_due
        self._backoffs: dict[AbstractWorker, Backoff] = {}
        self._due: dict[AbstractWorker, float] = {}
        self._lock = threading.RLock()  # reentrant: for signal handlers
        self._is_ended = False
        self._news: SimpleQueue[AbstractWorker | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def hear_of(self, ended: AbstractWorker) -> None:
        """Look at a worker that has just ended."""
        self._news.put(ended)

    def end(self) -> None:
        """Start nothing any more; return at once."""
        with self._lock:
            self._is_ended = True
        self._news.put(None)

    def join(self) -> None:
        """Wait until the thread has ended, after `end`."""
        self._thread.join()

    def _main(self) -> None:
        while not self._is_ended:
            try:
                worker = self._news.get(timeout=self._wait_s())
            except Empty:
                self._start_what_is_due()
                continue
            life = None if worker is None else worker._life
            if worker is not None and life is not None and life.failure is not None and not life.is_told_to_stop:
                self._put_off(worker, f"died: {life.failure}", life.lived_s)
            if not self._due:
                self._when_none_is_due()

    def _wait_s(self) -> float | None:
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None

    def _put_off(self, worker: AbstractWorker, what_happened: str, lived_s: float) -> None:
        delay_s = self._backoffs.setdefault(worker, self._new_backoff()).after(lived_s)
        self._due[worker] = time.monotonic() + delay_s
        logger.warning("worker %r %s; starting it again in %g s", worker.name, what_happened, delay_s)

    def _start_what_is_due(self) -> None:
        worker = min(self._due, key=self._due.__getitem__)
        del self._due[worker]
        try:
            with self._lock:
                if not self._is_ended:
                    worker.start()
        except Exception as error:
            self._put_off(worker, f"could not be started again: {error}", lived_s=0.0)
