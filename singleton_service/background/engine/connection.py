"""Connections: opened, and greeted with what the URL says. What is said on them afterwards is the queue's.

By hand, though redis-py could: its import alone takes as long as all else that a start needs, half of it for an asyncio
client that nobody here has a use for, and its connection said more to a server than the little that is needed.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hiredis import Reader, pack_command

from singleton_service.background.engine.address import Address
from singleton_service.background.engine.refusals import RefusedError, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = tuple[bytes | str | int, ...]

__all__ = ["Connection", "connection_factory", "new_reader", "next_reply"]

_CONNECT_TIMEOUT_S: Final = 1.0
_READ_BYTES: Final = 65_536

# A peer that vanishes without a word is noticed after about 45 s even while we only wait for it.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class Connection:
    """One connection, of one thread at a time. Nothing is retried or decoded.

    Attributes:
        socket: what it goes through; None while it is not connected.
        socket_timeout: how long, in seconds, an answer may take, those to the greeting too.
    """

    def __init__(
        self, address: Address, socket_timeout: float, before_connect: Callable[[], None] | None = None
    ) -> None:
        self.socket: socket.socket | None = None
        self.socket_timeout = socket_timeout
        self._pid = 0
        self._address = address
        self._before_connect = before_connect

    def connect(self) -> None:
        """Connect and greet, unless it is connected.

        Raises:
            OSError: there is no server, or it does not let us in. What is done before may raise errors of its own.
        """
        if self._before_connect is not None:
            self._before_connect()
        if self.socket is not None:
            return
        try:
            self.socket, self._pid = self._opened(), os.getpid()
        except TimeoutError as error:
            raise TimeoutError("Timeout connecting to server") from error
        except OSError as error:
            number = "" if error.errno is None else f" {error.errno}"
            raise ConnectionError(f"Error{number} connecting to {self._address}. {error.strerror or error}") from error
        try:
            self._greet()
        except BaseException:
            self.disconnect()
            raise

    def disconnect(self) -> None:
        """Close it; harmless if it is."""
        opened, self.socket = self.socket, None
        if opened is None:
            return
        # A child after fork has a copy of its parent's, which goes on.
        if self._pid == os.getpid():
            with suppress(OSError):
                # Whoever waits on it in another thread is to hear of it.
                opened.shutdown(socket.SHUT_RDWR)
        opened.close()

    def __del__(self) -> None:
        # A thread that ends leaves its own behind.
        self.disconnect()

    def call(self, *commands: Command) -> list[Any]:
        """Send commands and return their replies, a refusal being one; on a connection that nothing else is said on.

        Raises:
            OSError: it is gone, or there is no answer.
        """
        if self.socket is None:
            raise ConnectionError("the connection was closed")
        self.socket.sendall(b"".join(map(pack_command, commands)))  # type: ignore[arg-type]  # its types know tuples of one
        reader = new_reader()
        return [next_reply(reader, self.socket) for _ in commands]

    def _opened(self) -> socket.socket:
        address = self._address
        if address.path is not None:
            opened = socket.socket(socket.AF_UNIX)
            try:
                opened.settimeout(_CONNECT_TIMEOUT_S)
                opened.connect(address.path)
            except BaseException:
                opened.close()
                raise
        else:
            opened = socket.create_connection((address.host, address.port), _CONNECT_TIMEOUT_S)
        try:
            opened.settimeout(self.socket_timeout)
            return opened if address.path is not None else self._of_a_network(opened)
        except BaseException:
            opened.close()
            raise

    def _of_a_network(self, opened: socket.socket) -> socket.socket:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if not self._address.is_secure:
            return opened
        from singleton_service.background.engine.tls import secured  # noqa: PLC0415 - see there

        return secured(opened, self._address)

    def _greet(self) -> None:
        """Say what the URL asks for, in one round trip; nothing as a rule."""
        address = self._address
        greetings: list[tuple[Command, str]] = []
        if address.username or address.password:
            who = (address.username,) if address.username else ()
            greetings.append(((b"AUTH", *who, address.password or ""), "it does not let us in"))
        if address.client_name:
            greetings.append(((b"CLIENT", b"SETNAME", address.client_name), "it does not take client_name"))
        if address.database:
            greetings.append(((b"SELECT", address.database), f"it has no database {address.database}"))
        if not greetings:
            return
        for (_, trouble), reply in zip(greetings, self.call(*(each for each, _ in greetings)), strict=True):
            if isinstance(reply, RefusedError):
                raise ConnectionError(f"{trouble}: {reply}")


def connection_factory(url: str, before_connect: Callable[[], None] | None = None) -> Callable[[float], Connection]:
    """Return a function from a read timeout in seconds to a new connection to *url*, not yet connected.

    Args:
        url: A URL that `check_redis_url` let through.
        before_connect: What to do before each attempt to connect.
    """
    address = Address(url)
    return lambda read_timeout_s: Connection(address, read_timeout_s, before_connect)


def new_reader() -> Reader:
    """Return what makes replies of bytes that come; a refusal is one, see `refusal_of`."""
    return Reader(protocolError=ConnectionError, replyError=refusal_of)


def next_reply(reader: Reader, source: socket.socket) -> Any:
    """Return the next reply that comes; a refusal is one. Called again after a timeout, it goes on where it was.

    Raises:
        TimeoutError, BlockingIOError: nothing came, or not all of it.
        OSError: the connection is gone, or the server does not serve it.
    """
    while (reply := reader.gets()) is False:
        came = source.recv(_READ_BYTES)
        if not came:
            raise ConnectionError("Connection closed by server.")
        reader.feed(came)
    if isinstance(reply, ConnectionError):
        raise reply
    return reply
