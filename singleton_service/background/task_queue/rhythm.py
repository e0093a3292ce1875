"""For which queues to beat now: where a beat would do nothing, one in turn is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence


class Rhythm:
    """Where a process holds nothing, and nobody else takes tasks, there is no lease to renew and nobody to miss.

    Such queues rest, but not for long: somebody may come, and die. Times are `time.monotonic()` seconds.
    """

    def __init__(self, longest_rest_s: float) -> None:
        """Let a queue rest for so long: shorter than a lease, for whoever comes is to be known before it is missed."""
        self._longest_rest_s = longest_rest_s
        self._beaten_at: dict[str, float] = {}
        self._shared: set[str] = set()

    def due(self, queues: Sequence[str], busy: Container[str], now: float) -> list[str]:
        """Return for which of *queues* to beat now: those that must not rest, else the one that has rested longest."""
        due = [queue for queue in queues if queue in busy or queue in self._shared or self._has_rested(queue, now)]
        return due or sorted(queues, key=self._beaten_at.__getitem__)[:1]

    def beaten(self, queue: str, workers: int, now: float) -> None:
        """Note a beat, and how many workers the queue knows, this one included."""
        self._beaten_at[queue] = now
        if workers > 1:
            self._shared.add(queue)
        else:
            self._shared.discard(queue)

    def begin_anew(self) -> None:
        """Beat for all: nobody knows what happened meanwhile."""
        self._beaten_at.clear()

    def _has_rested(self, queue: str, now: float) -> bool:
        at = self._beaten_at.get(queue)
        return at is None or now - at >= self._longest_rest_s
