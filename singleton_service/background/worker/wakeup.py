"""Sleeping until there is something to do: a token in a queue, a finished job, or a time that has come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from singleton_service.background.task_queue.bell import Bell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.heartbeat import Heartbeat
    from singleton_service.background.task_queue.link import Command
    from singleton_service.background.task_queue.protocol import Fetched

_BLOCK_S = 30
_GIVEN_UP_AFTER_S = _BLOCK_S + 5.0
_READ_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Request:
    """A fetch, and what its answer is measured by.

    Attributes:
        number: how many tasks it asks for at most.
        lanes: of which lanes it says that they have less room.
        command: what to send.
    """

    queue: str
    number: int
    lanes: tuple[str, ...]
    command: Command


@dataclass(frozen=True, slots=True)
class Woken:
    """What the server woke the sleeper with.

    Attributes:
        token: the queue that has work; None when the pop's time was over.
        request: the fetch that went with the pop, if one did, and
        fetched: what it brought.
    """

    token: str | None
    request: Request | None = None
    fetched: Fetched | None = None


class WakeUp:
    """The dispatcher's bed. One thread sleeps; any thread may `ring`.

    While armed, one blocking pop for all queues is under way on a connection of its own; its answer and the bell are
    waited for together, so that neither needs a thread or polling.

    A fetch may follow the pop in the same pipeline. The server runs it in the same turn in which it ends the pop, so
    a token comes with its tasks; and not at all when the connection has ended before.
    """

    def __init__(self, client: QueueClient, queues: Sequence[str], heartbeat: Heartbeat) -> None:
        self._client = client
        self._heartbeat = heartbeat
        self._link = client.new_link(_READ_TIMEOUT_S)
        self._queue_of = {client.protocol(queue).keys.wake: queue for queue in queues}
        self._pop: Command = (b"BLPOP", *self._queue_of, _BLOCK_S)
        self._armed_at: float | None = None
        self._request: Request | None = None
        self._sleeping = False
        self._bell = Bell()

    def ring(self) -> None:
        """Wake the sleeper, now or when it next lies down."""
        if self._sleeping:
            self._sleeping = False
            self._bell.ring()

    @property
    def is_armed(self) -> bool:
        """Whether a pop is under way."""
        return self._armed_at is not None

    @property
    def has_fetch(self) -> bool:
        """Whether a fetch is under way behind the pop."""
        return self._request is not None

    @property
    def is_bare(self) -> bool:
        """Whether the pop under way goes without a fetch."""
        return self._armed_at is not None and self._request is None

    @property
    def is_lost(self) -> bool:
        """Whether the pop under way is on a connection that died: a token may have gone with it."""
        armed_at = self._armed_at
        return armed_at is not None and (self._link.is_outlived or time.monotonic() - armed_at > _GIVEN_UP_AFTER_S)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the fetch under way keeps the heartbeat from finding leases nobody knows of: `disarm` is due."""
        request = self._request
        return request is not None and self._heartbeat.doubts(request.queue)

    def arm(self, request: Request | None = None) -> None:
        """Ask the server for a token of any queue, to be followed by a fetch; not while that is under way."""
        if self._link.is_outlived:
            self._link.close()
        commands = [self._pop]
        if request is not None and self._may_sleep(request.queue):
            self._request = request
            commands.append(request.command)
        self._armed_at = time.monotonic()
        try:
            self._link.post(commands)
        except BaseException:
            self.disarm()
            raise

    def disarm(self) -> None:
        """Forget the pop under way, with its connection. What was fetched meanwhile is handed back soon."""
        self._link.close()
        self._armed_at = None
        if self._request is not None:
            queue, self._request = self._request.queue, None
            self._heartbeat.leases.wake_up(queue)
            self._heartbeat.doubt(queue)

    def lie_down(self) -> None:
        """From here on a ring is kept. Check once more for work, then `sleep`."""
        self._sleeping = True

    def sleep(self, timeout_s: float) -> Woken | None:
        """Sleep until rung, woken by the server or *timeout_s* is over; return what the server said.

        Tasks that it brings are held by this process already.

        Raises:
            QueueUnavailableError, TaskQueueError: as for `Link.run`; nothing is under way any more.
        """
        link = self._link if self._armed_at is not None else None
        has_answer = self._bell.listen(link, min(timeout_s, _GIVEN_UP_AFTER_S))
        self._sleeping = False
        if not has_answer:
            return None
        try:
            woken = self._read()
        except BaseException:
            self.disarm()
            raise
        self._armed_at = None
        return woken

    def close(self) -> None:
        """Close the connection and the bell."""
        self.disarm()
        self._bell.close()

    def _may_sleep(self, queue: str) -> bool:
        return not self._heartbeat.doubts(queue) and self._heartbeat.leases.fall_asleep(queue)

    def _read(self) -> Woken:
        request = self._request
        if request is None:
            (popped,) = self._link.collect([self._pop])
            return Woken(self._queue_of[popped[0]] if popped else None)
        popped, reply = self._link.collect([self._pop, request.command])
        fetched = self._client.protocol(request.queue).fetched(reply)
        self._heartbeat.leases.add(fetched.leases)
        self._request = None
        self._heartbeat.leases.wake_up(request.queue)
        return Woken(self._queue_of[popped[0]] if popped else None, request, fetched)
