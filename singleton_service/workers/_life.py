"""One life of a worker: what can be asked about it, and what can be told to it."""

from __future__ import annotations

import threading
import time

from . import _endings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._worker import AbstractWorker

__all__ = ["Life"]


class Life:
    """One life of *worker*, from its start to the end of its teardown. A new start is a new life."""

    def __init__(self, worker: AbstractWorker) -> None:
        self.worker = worker
        self.stop_asked = threading.Event()
        self.ended = threading.Event()
        self.main_is_over = False
        self.failure: str | None = None
        self.lived_s = 0.0
        self.thread = threading.current_thread()
        self._began = time.monotonic()
        self._is_told = False

    @property
    def is_running(self) -> bool:
        return not (self._is_told or self.main_is_over or self.ended.is_set())

    @property
    def is_told_to_stop(self) -> bool:
        return self._is_told

    def begin(self) -> None:
        """Run the hooks, elsewhere; return when that is under way."""

    def ask_to_stop(self) -> None:
        """Ask main to end."""
        # A signal handler may do this while its own thread does: the second must not wait for the first.
        if not self._is_told:
            self._is_told = True
            self.stop_asked.set()

    def interrupt(self) -> bool:
        """Break main off, so that teardown comes; tell whether that is possible here."""
        return False

    def kill(self) -> None:
        """End it at once, without teardown, where that is possible: not in a thread."""

    def leave_to_the_parent(self) -> None:
        """Let go of what a forked child inherited of it."""

    def finish(self) -> None:
        """Note that it is over. The last thing in a life."""
        self.lived_s = time.monotonic() - self._began
        _endings.forget(self.worker)
        self.ended.set()
        if self.worker._on_end is not None:
            self.worker._on_end(self)
