"""Sleeping until there is something to do: a token in a queue, a finished job, or a time that has come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from singleton_service.background.task_queue.bell import Bell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singleton_service.background.task_queue.client import QueueClient

_BLOCK_S = 30
_GIVEN_UP_AFTER_S = _BLOCK_S + 5.0


class WakeUp:
    """The dispatcher's bed. One thread sleeps; any thread may `ring`.

    While armed, one blocking pop for all queues is under way on a connection of its own; its answer and the bell are
    waited for together, so that neither needs a thread or polling.
    """

    def __init__(self, client: QueueClient, queues: Sequence[str]) -> None:
        self._link = client.new_link(_BLOCK_S + 10)
        self._queue_of = {client.protocol(queue).keys.wake: queue for queue in queues}
        self._armed_at: float | None = None
        self._sleeping = False
        self._bell = Bell()

    def ring(self) -> None:
        """Wake the sleeper, now or when it next lies down."""
        if self._sleeping:
            self._sleeping = False
            self._bell.ring()

    @property
    def is_lost(self) -> bool:
        """Whether the pop under way is on a connection that died: a token may have gone with it."""
        armed_at = self._armed_at
        return armed_at is not None and (self._link.is_outlived or time.monotonic() - armed_at > _GIVEN_UP_AFTER_S)

    def arm(self) -> None:
        """Ask the server for a token of any queue, unless that is under way."""
        if self._armed_at is None:
            if self._link.is_outlived:
                self._link.close()
            self._link.send(b"BLPOP", *self._queue_of, _BLOCK_S)
            self._armed_at = time.monotonic()

    def disarm(self) -> None:
        """Forget the pop under way, with its connection."""
        self._link.close()
        self._armed_at = None

    def lie_down(self) -> None:
        """From here on a ring is kept. Check once more for work, then `sleep`."""
        self._sleeping = True

    def sleep(self, timeout_s: float) -> str | None:
        """Sleep until rung, woken by a token or *timeout_s* is over; return the token's queue."""
        link = self._link if self._armed_at is not None else None
        has_answer = self._bell.listen(link, min(timeout_s, _GIVEN_UP_AFTER_S))
        self._sleeping = False
        if not has_answer:
            return None
        # Before the answer is read: it may be a refusal, and then there is none under way either.
        self._armed_at = None
        reply = self._link.receive()
        return self._queue_of[reply[0]] if reply else None

    def close(self) -> None:
        """Close the connection and the bell."""
        self.disarm()
        self._bell.close()
