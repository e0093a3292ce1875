"""Sleeping until there is something to do: a token in a queue, a finished job, or a time that has come."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

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
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)

    def ring(self) -> None:
        """Wake the sleeper, now or when it next lies down."""
        if self._sleeping:
            self._sleeping = False
            try:
                self._clapper.send(b"!")
            except (BlockingIOError, OSError):
                # Full: it rings already. Closed: nobody sleeps any more.
                return

    def arm(self) -> None:
        """Ask the server for a token, unless that is under way."""
        if self._armed_at is not None and time.monotonic() - self._armed_at > _GIVEN_UP_AFTER_S:
            # The answer is overdue: a half-open connection would sleep for ever.
            self.disarm()
        if self._armed_at is None:
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
        # poll, not select: a web process may have more than 1,024 descriptors.
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if self._armed_at is not None:
            if self._link.has_reply():
                timeout_s = 0
            poll.register(self._link.fileno(), select.POLLIN)
        poll.poll(min(timeout_s, _GIVEN_UP_AFTER_S) * 1000)
        self._sleeping = False
        self._silence()
        if self._armed_at is None or not self._link.has_reply():
            return None
        reply = self._link.receive()
        self._armed_at = None
        return self._queue_of[reply[0]] if reply else None

    def close(self) -> None:
        """Close the connection and the bell."""
        self.disarm()
        self._bell.close()
        self._clapper.close()

    def _silence(self) -> None:
        try:
            while self._bell.recv(64):
                pass
        except BlockingIOError:
            return
