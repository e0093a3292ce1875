"""Which of a worker's queues to ask next, and how long there is nothing to ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.task_queue.order import Turns

if TYPE_CHECKING:
    from collections.abc import Container

    from singleton_service.background.task_queue.order import QueueOrder


class Feeds:
    """The queues of one dispatcher, in strict order or by weight. Times are `time.monotonic()` seconds.

    A queue is hopeful while it may have work: at the start, after a wake-up token, when a due time has come, and as
    long as fetches come back full.

    Attributes:
        likeliest: where work came from last, and is most likely to come next.
    """

    def __init__(self, order: QueueOrder) -> None:
        self.queues = order.names
        self.is_strict = order.weights is None
        self._turns = Turns(order)
        self._hopeful = set(self.queues)
        self.likeliest = self.queues[0]
        self._due_at: dict[str, float] = {}

    @property
    def ranks(self) -> dict[str, int]:
        """Which queues' tasks overtake which that wait in this process: a lower rank goes first."""
        return {queue: rank if self.is_strict else 0 for rank, queue in enumerate(self.queues)}

    def hope(self, queue: str) -> None:
        """There may be work."""
        self._hopeful.add(queue)

    def hope_all(self) -> None:
        """There may be work anywhere: a wake-up may have been missed."""
        self._hopeful.update(self.queues)

    def found(self, queue: str, number: int, *, full: bool, next_s: float | None, now: float) -> None:
        """A fetch came back with so many tasks; *next_s*: until the next due task."""
        self._turns.took(queue, number)
        if number:
            self.likeliest = queue
        if not full:
            self._hopeful.discard(queue)
        if next_s is None:
            self._due_at.pop(queue, None)
        else:
            self._due_at[queue] = now + next_s

    def due_in(self, queue: str, next_s: float, now: float) -> None:
        """A heartbeat told when there is work."""
        self._due_at[queue] = min(self._due_at.get(queue, float("inf")), now + next_s)

    def best(self, now: float, closed: Container[str] = ()) -> str | None:
        """Return the queue to ask next, of those that may have work and are not *closed*."""
        for queue, at in list(self._due_at.items()):
            if at <= now:
                del self._due_at[queue]
                self._hopeful.add(queue)
        return next((queue for queue in self._turns.sorted(self._in_hope()) if queue not in closed), None)

    def share(self, queue: str, room: int) -> int:
        """Return how many tasks to ask a queue for when there is room for *room*."""
        return self._turns.share(queue, self._in_hope(), room)

    def unheard(self, queue: str) -> list[str]:
        """Return the queues whose tokens nobody listens for while this one keeps us busy, though they have a say.

        In strict order those before it, by weight all others.
        """
        others = self.queues[: self.queues.index(queue)] if self.is_strict else self.queues
        return [other for other in others if other != queue and other not in self._hopeful]

    def wait_s(self, now: float) -> float:
        """Return the seconds until a due time; infinite when none is known."""
        return max(0.0, min(self._due_at.values(), default=float("inf")) - now)

    def _in_hope(self) -> list[str]:
        return [queue for queue in self.queues if queue in self._hopeful]
