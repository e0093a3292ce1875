"""Starting dead workers again: soon at first, ever later if they keep dying."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue

from ._story import logger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._life import Life
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

    def __init__(self, name: str, new_backoff: Callable[[], Backoff], when_one_has_settled: Callable[[], None]) -> None:
        self._new_backoff = new_backoff
        self._when_one_has_settled = when_one_has_settled
        self._backoffs: dict[AbstractWorker, Backoff] = {}
        self._due: dict[Life, float] = {}  # the end of which, and when the next one begins
        self._settled: dict[AbstractWorker, Life] = {}
        self._lock = threading.RLock()  # reentrant: for signal handlers
        self._is_ended = False
        self._news: SimpleQueue[Life | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def hear_of(self, ended: Life) -> None:
        """Look at a life that has just ended."""
        self._news.put(ended)

    def has_settled(self, worker: AbstractWorker) -> bool:
        """Tell whether *worker* has ended for good, as far as this thread is concerned."""
        return self._settled.get(worker) is worker._life

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
                life = self._news.get(timeout=self._wait_s())
            except Empty:
                self._look_at_what_is_due()
                continue
            if life is None:
                return
            if life.failure is not None and not life.is_told_to_stop:
                self._put_off(life, f"died: {life.failure}", life.lived_s)
            else:
                self._settle(life)

    def _wait_s(self) -> float | None:
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None

    def _settle(self, life: Life) -> None:
        self._settled[life.worker] = life
        self._when_one_has_settled()

    def _put_off(self, life: Life, what_happened: str, lived_s: float) -> None:
        delay_s = self._backoffs.setdefault(life.worker, self._new_backoff()).after(lived_s)
        self._due[life] = time.monotonic() + delay_s
        logger.warning("worker %r %s; starting it again in %g s", life.worker.name, what_happened, delay_s)

    def _look_at_what_is_due(self) -> None:
        life = min(self._due, key=self._due.__getitem__)
        del self._due[life]
        if life.is_told_to_stop or life.worker._life is not life:  # somebody else has seen to it meanwhile
            self._settle(life)
            return
        try:
            with self._lock:
                if not self._is_ended:
                    life.worker.start()
        except Exception as error:
            self._put_off(life, f"could not be started again: {error}", lived_s=0.0)
