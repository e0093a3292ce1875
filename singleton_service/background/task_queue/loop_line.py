"""The connection of one event loop for its enqueues, on which it waits for no answer.

They are joined as those of threads are (joint.py): who finds nothing under way sends at once, the others go together
with the next. All that is not an answer, such as silence, a refusal or the end of the connection, is left to a thread:
each caller has its task sent again there, which adds nothing where it was enqueued, and hears what is the matter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from singleton_service._loops import running_loop
from singleton_service.background.engine import RefusedError

from .joint import MAX_BATCH_BYTES
from .link import Link
from .protocol import Enqueued
from .pulse import PATIENCE_S
from .scripts import MAX_BATCH

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from .client import QueueClient
    from .errands import Errands
    from .requests import PreparedTask
    from .wire import Wire

# Tasks, and who waits to hear of them.
_Flight: TypeAlias = "list[tuple[PreparedTask, Future[Enqueued | None]]]"

_CONNECTED_WITHIN_S = 1.0
# After it failed.
_REST_S = 5.0


class LoopLine:
    """A connection that belongs to one event loop, whose thread alone uses it."""

    def __init__(self, client: QueueClient, errands: Errands) -> None:
        self._client = client
        self._errands = errands
        self._link = Link(client.engine, client.scripts, _CONNECTED_WITHIN_S)
        self._wire: Wire | None = None
        self._waiting: deque[tuple[PreparedTask, Future[Enqueued | None]]] = deque()
        self._flight: _Flight = []
        self._unsent = memoryview(b"")
        self._sent_at = 0.0
        self._is_watched = False
        self._is_wanted = self._is_opening = False
        # What TLS has deciphered no descriptor tells of.
        self._is_stopped = client.engine.url.startswith("rediss:")
        self._rests_until = 0.0

    async def enqueue(self, task: PreparedTask) -> Enqueued | None:
        """Send a task and return what became of it; None when that can't be told here and it has to be sent again."""
        if self._wire is None or not self._client.is_registered(task.queue):
            self._open()
            return None
        answer: Future[Enqueued | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((task, answer))
        if not self._flight:
            self._take_off()
        return await answer

    def stop(self, loop: AbstractEventLoop) -> None:
        """Close it. Called from any thread."""
        self._is_stopped = True
        if loop.is_running() and loop is not running_loop():
            loop.call_soon_threadsafe(self._close, loop)
        else:
            self._close(loop)

    # Opening and closing

    def _open(self) -> None:
        """Have a thread connect, while the first enqueues go the other way: a loop that sends one needs no line."""
        loop = asyncio.get_running_loop()
        is_first, self._is_wanted = not self._is_wanted, True
        if is_first or self._is_opening or self._is_stopped or loop.time() < self._rests_until:
            return
        self._is_opening = True
        opening = loop.run_in_executor(self._errands.pool, self._link.open_for_loop)
        opening.add_done_callback(self._opened)

    def _opened(self, opening: Future[Wire]) -> None:
        self._is_opening = False
        if opening.cancelled() or opening.exception() is not None:
            # Whoever enqueues is told why.
            self._rests_until = asyncio.get_running_loop().time() + _REST_S
            return
        if self._is_stopped:
            self._link.close()
            return
        self._wire = opening.result()
        asyncio.get_running_loop().add_reader(self._wire.fileno(), self._read)

    def _close(self, loop: AbstractEventLoop) -> None:
        """Close it and leave all that is under way, or waits, to the other way."""
        wire, self._wire = self._wire, None
        left, self._flight = [*self._flight, *self._waiting], []
        self._waiting.clear()
        self._unsent = memoryview(b"")
        if loop.is_closed():
            self._link.close()
            return
        if wire is not None:
            # Before the descriptor is somebody else's.
            loop.remove_reader(wire.fileno())
            loop.remove_writer(wire.fileno())
        self._link.close()
        self._leave(left)

    # Sending and receiving

    def _take_off(self) -> None:
        """Send what waits, as far as it is one queue's."""
        assert self._wire is not None
        flight, waiting = self._flight, self._waiting
        queue, size = waiting[0][0].queue, 0
        while waiting and waiting[0][0].queue == queue and len(flight) < MAX_BATCH:
            size += len(waiting[0][0].body)
            if flight and size > MAX_BATCH_BYTES:
                break
            flight.append(waiting.popleft())
        loop = asyncio.get_running_loop()
        self._sent_at = loop.time()
        if not self._is_watched:
            self._is_watched = True
            loop.call_later(PATIENCE_S, self._watch)
        command = self._client.protocol(queue).enqueue([task[1:4] for task, _ in flight])
        try:
            self._unsent = self._wire.begin([command])
        except OSError:
            self._close(loop)
            return
        if self._unsent:
            loop.add_writer(self._wire.fileno(), self._write)

    def _write(self) -> None:
        assert self._wire is not None
        loop = asyncio.get_running_loop()
        try:
            self._unsent = self._wire.go_on(self._unsent)
        except OSError:
            self._close(loop)
            return
        self._sent_at = loop.time()
        if not self._unsent:
            loop.remove_writer(self._wire.fileno())

    def _read(self) -> None:
        assert self._wire is not None
        try:
            reply = self._wire.receive()
        except BlockingIOError:
            # Not all of it is there.
            return
        except OSError:
            self._close(asyncio.get_running_loop())
            return
        if not self._flight or self._unsent:
            self._close(asyncio.get_running_loop())
            return
        flight, self._flight = self._flight, []
        if isinstance(reply, RefusedError):
            # Mostly of a script that the server has forgotten: it is told again on the other way, and knows it here.
            self._leave(flight)
        else:
            self._settle(flight, reply)
        if self._waiting:
            self._take_off()

    def _settle(self, flight: _Flight, reply: Any) -> None:
        enqueued = self._client.protocol(flight[0][0].queue).enqueued(reply, [task.uid for task, _ in flight])
        for (_, answer), uid in zip(flight, enqueued.uids, strict=True):
            # One that was cancelled has nobody to tell.
            if not answer.done():
                answer.set_result(Enqueued([uid], enqueued.unstarted))
        self._client.outage.over()

    @staticmethod
    def _leave(left: _Flight) -> None:
        """Leave these to the other way."""
        for _, answer in left:
            if not answer.done():
                answer.set_result(None)

    def _watch(self) -> None:
        """See that an answer comes in time; one timer for many, and none where nothing is under way."""
        loop = asyncio.get_running_loop()
        left_s = self._sent_at + PATIENCE_S - loop.time()
        self._is_watched = bool(self._flight)
        if not self._flight:
            return
        assert self._wire is not None
        if left_s <= 0 and self._wire.has_bytes(0):
            # It was this thread that was late: what came is read in its next turn.
            left_s = PATIENCE_S
        if left_s > 0:
            loop.call_later(left_s, self._watch)
            return
        self._is_watched = False
        # Where every answer takes so long, it is asked for twice only now and then.
        self._rests_until = loop.time() + _REST_S
        self._close(loop)
