"""What handlers raised: of attempts in a test's own hands, and of those that workers of the application made."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singleton_service.background.task_queue.lease import Lease
    from singleton_service.background.worker import TaskEnd


class Failures:
    """A hook that keeps what it is told. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By task and fence: an attempt. None until it fails.
        self._ours: dict[tuple[str, int], BaseException | None] = {}
        self._of_others: list[tuple[str, BaseException]] = []

    def note(self, end: TaskEnd) -> None:
        """Keep the error of an attempt that failed."""
        if end.error is None:
            return
        attempt = (end.task.id, end.task.fence)
        with self._lock:
            if attempt in self._ours:
                self._ours[attempt] = end.error
            else:
                self._of_others.append((end.task.id, end.error))

    def expect(self, leases: Iterable[Lease]) -> None:
        """Say that a test has these in its own hands."""
        with self._lock:
            self._ours.update(((lease.id, lease.fence), None) for lease in leases)

    def take(self, lease: Lease) -> BaseException | None:
        """Return what the attempt of a lease failed with, and forget it."""
        with self._lock:
            return self._ours.pop((lease.id, lease.fence), None)

    def take_others(self) -> list[tuple[str, BaseException]]:
        """Return the errors of all other attempts since the last call, with the ids of their tasks."""
        with self._lock:
            others, self._of_others = self._of_others, []
        return others
