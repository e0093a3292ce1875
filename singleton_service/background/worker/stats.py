"""Counting what this process did."""

from __future__ import annotations

import threading


class WorkerCounters:
    """Numbers that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(
            ("workers_started", "workers_stopped", "tasks_processed", "tasks_failed", "processing_errors"), 0
        )

    def add(self, **more: int) -> None:
        """Add to counters, all at once."""
        with self._lock:
            for name, number in more.items():
                self._counts[name] += number

    def read(self) -> dict[str, int]:
        """Return a copy."""
        with self._lock:
            return dict(self._counts)
