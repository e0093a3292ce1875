"""Which of a worker's queues to ask next, and how long there is nothing to ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Feeds:
    """The queues of one dispatcher, strictly in order. Times are `time.monotonic()` seconds.

    A queue is hopeful while it may have work: at the start, after a wake-up token, when a due time has come, and as
    long as fetches come back full.
    """

    def __init__(self, queues: Sequence[str]) -> None:
        self.queues = tuple(queues)
        self._hopeful = set(self.queues)
        self._due_at: dict[str, float] = {}

    def hope(self, queue: str) -> None:
        """There may be work."""
        self._hopeful.add(queue)

    def hope_all(self) -> None:
        """There may be work anywhere: a wake-up may have been missed."""
        self._hopeful.update(self.queues)

    def found(self, queue: str, *, full: bool, next_s: float | None, now: float) -> None:
        """A fetch came back; *next_s*: until the next due task."""
        if not full:
            self._hopeful.discard(queue)
        if next_s is None:
            self._due_at.pop(queue, None)
        else:
            self._due_at[queue] = now + next_s

    def due_in(self, queue: str, next_s: float, now: float) -> None:
        """A heartbeat told when there is work."""
        self._due_at[queue] = min(self._due_at.get(queue, float("inf")), now + next_s)

    def best(self, now: float) -> str | None:
        """Return the first queue that may have work."""
        for queue, at in list(self._due_at.items()):
            if at <= now:
                del self._due_at[queue]
                self._hopeful.add(queue)
        return next((queue for queue in self.queues if queue in self._hopeful), None)

    def above(self, queue: str) -> list[str]:
        """Return the queues that come before this one: nobody listens for their tokens while it keeps us busy."""
        return [other for other in self.queues[: self.queues.index(queue)] if other not in self._hopeful]

    def wait_s(self, now: float) -> float:
        """Return the seconds until a due time; infinite when none is known."""
        return max(0.0, min(self._due_at.values(), default=float("inf")) - now)
