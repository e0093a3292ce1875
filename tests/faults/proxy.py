"""A line between clients and a server that can be made bad in the ways lines go bad. Loopback only.

It reads the protocol, so that a fault can be aimed: at one script's requests, or at the answers to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

from .resp import Requests, frames

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 16
_CONNECT_S = 5.0


class Proxy:
    """Listens on a port of its own and hands everything on to *host*:*port*, until told otherwise.

    Its methods may be called from any thread; each fault lasts until `calm`.

    Attributes:
        bites: how often each fault struck, for scenarios that must know that it did.
        seen: how often each request was handed on.
        connections: how many there have been.
    """

    def __init__(self, host: str, port: int) -> None:
        self.bites: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.connections = 0
        self.port = 0
        self._server = (host, port)
        self._requests = Requests()
        self._lines: set[_Line] = set()
        self._delay_s = (0.0, 0.0)
        self._blocked: frozenset[str] = frozenset()
        self._dropped: dict[str, float] = {}
        self._random = random.Random(1)
        self._loop = asyncio.new_event_loop()
        self._flows: asyncio.Event
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults-proxy", daemon=True)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Proxy:
        """Begin to listen."""
        self._thread.start()
        assert self._up.wait(10)
        return self

    def stop(self) -> None:
        """Close everything."""
        self._soon(self._loop.stop)
        self._thread.join()

    def delay(self, at_least_s: float, at_most_s: float) -> None:
        """Hand on each bundle of requests and of answers later, each by a time of its own."""
        self._delay_s = (at_least_s, at_most_s)

    def block(self, *requests: str) -> None:
        """Swallow these requests, and with them all that follows on their connection; it stays open."""
        self._blocked = frozenset(requests)

    def drop_answers(self, requests: str, share: float) -> None:
        """Have that share of these requests carried out, then cut the connection in place of the answer."""
        self._dropped = {**self._dropped, requests: share}

    def hold(self) -> None:
        """Be a black hole: nothing comes through, connections stay open, new ones seem to succeed.

        As with real networks, what was sent arrives late after all when the hole closes, even if who sent it is gone.
        """
        self.bites["held"] += 1
        self._soon(self._flows.clear)

    def cut(self) -> None:
        """Reset all connections."""
        self._each_line("cut", _Line.reset)

    def forget(self) -> None:
        """Leave all connections half open: the other side is gone and never says so. New ones are good."""
        self._each_line("forgotten", _Line.forget)

    def calm(self) -> None:
        """Be a good line again. What is half open stays so."""
        self._delay_s, self._blocked, self._dropped = (0.0, 0.0), frozenset(), {}
        self._soon(self._flows.set)

    # In the loop's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        # From within: whoever stops it right after the start stops what runs for ever.
        self._loop.call_soon(self._up.set)
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _listen(self) -> None:
        self._flows = asyncio.Event()
        self._flows.set()
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        for line in list(self._lines):
            line.reset()
        # The tasks that were cancelled, and the transports, end in their own time.
        for _ in range(3):
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.CancelledError):
            await _Line(self, reader, writer).run()

    def _each_line(self, bite: str, do: Callable[[_Line], None]) -> None:
        def strike() -> None:
            for line in list(self._lines):
                self.bites[bite] += 1
                do(line)

        self._soon(strike)

    def _soon(self, call: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(call)

    async def pass_through(self) -> None:
        """Wait as long as this line makes everything wait."""
        at_least_s, at_most_s = self._delay_s
        if at_most_s:
            self.bites["delayed"] += 1
            await asyncio.sleep(self._random.uniform(at_least_s, at_most_s))
        await self._flows.wait()

    def name(self, request: bytes) -> str:
        """Return what a request is called."""
        return self._requests.name(request)

    def is_blocked(self, request: str) -> bool:
        """Whether to swallow it."""
        if request in self._blocked:
            self.bites[f"blocked {request}"] += 1
            return True
        return False

    def is_dropped(self, request: str) -> bool:
        """Whether to cut the connection in place of its answer."""
        if self._random.random() < self._dropped.get(request, 0):
            self.bites[f"dropped {request}"] += 1
            return True
        return False


class _Line:
    """One client's connection and its twin to the server."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._server_writer: asyncio.StreamWriter | None = None
        self._asked: deque[str] = deque()
        self._is_mute = False

    async def run(self) -> None:
        """Hand on in both directions until either side closes."""
        self._proxy._lines.add(self)
        try:
            # A black hole: the client is connected, and its bytes lie here.
            await self._proxy.pass_through()
            connecting = asyncio.open_connection(*self._proxy._server)
            reader, writer = await asyncio.wait_for(connecting, _CONNECT_S)
            self._server_writer = writer
            answers = asyncio.create_task(self._hand_back(reader))
            await self._hand_on(writer)
            # What was asked is carried out though nobody waits for it: the server reads it before it sees the end.
            answers.cancel()
        except OSError:
            pass
        finally:
            self.reset()
            self._proxy._lines.discard(self)

    def reset(self) -> None:
        """Cut both halves."""
        self._client[1].transport.abort()
        if self._server_writer is not None:
            self._server_writer.close()

    def forget(self) -> None:
        """Let nothing through any more, and stay open towards the client."""
        self._is_mute = True
        if self._server_writer is not None:
            self._server_writer.close()

    async def _hand_on(self, server: asyncio.StreamWriter) -> None:
        data = bytearray()
        with contextlib.suppress(OSError):
            while chunk := await self._client[0].read(_CHUNK):
                data += chunk
                passed = bytearray()
                for request in frames(data):
                    name = self._proxy.name(request)
                    self._is_mute = self._is_mute or self._proxy.is_blocked(name)
                    if not self._is_mute:
                        self._asked.append(name)
                        self._proxy.seen[name] += 1
                        passed += request
                if passed:
                    await self._proxy.pass_through()
                    server.write(passed)
                    await server.drain()

    async def _hand_back(self, reader: asyncio.StreamReader) -> None:
        data = bytearray()
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                data += chunk
                passed, cuts = self._answers(data)
                if passed and not self._is_mute:
                    await self._proxy.pass_through()
                    self._client[1].write(passed)
                    await self._client[1].drain()
                if cuts:
                    break
            if not self._is_mute:
                self._client[1].close()

    def _answers(self, data: bytearray) -> tuple[bytes, bool]:
        """Return the answers to hand back, and whether the line is cut in place of the next."""
        passed = bytearray()
        for answer in frames(data):
            # Messages of a subscription answer nothing.
            if self._proxy.is_dropped(self._asked.popleft() if self._asked else "message"):
                return bytes(passed), True
            passed += answer
        return bytes(passed), False
