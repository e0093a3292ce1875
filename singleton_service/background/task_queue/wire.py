"""What goes through one connected socket: packed commands out, replies in.

A socket's timeout is set once, not for each reading and back: each time is a system call, and lets other threads have
the interpreter.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any

from hiredis import pack_command

from singleton_service.background.engine.connection import new_reader, next_reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singleton_service.background.engine.connection import Connection

    from .link import Command


class Call(tuple[bytes | str | int, ...]):  # noqa: SLOT001 - it holds its head
    """A command that begins as many others do.

    Attributes:
        head: that beginning.
    """

    head: Head


class Head:
    """The beginning of commands that is the same each time: packed once."""

    __slots__ = ("length", "packed", "parts")

    def __init__(self, parts: Command) -> None:
        self.parts, self.length = parts, len(parts)
        self.packed = _packed_parts(parts)

    def call(self, rest: Command) -> Call:
        """Return the command that goes on with *rest*."""
        call = Call(self.parts + rest)
        call.head = self
        return call


def _packed(command: Command) -> bytes:
    if isinstance(command, Call):
        head = command.head
        return b"*%d\r\n%b%b" % (len(command), head.packed, _packed_parts(command[head.length :]))
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # its types know tuples of one
    return packed


def _packed_parts(parts: Command) -> bytes:
    packed: bytes = pack_command(parts)  # type: ignore[arg-type]  # as above
    return packed[packed.index(b"\n") + 1 :]


class Wire:
    """Made for a connection that is open, and gone with it. Not thread-safe."""

    def __init__(self, connection: Connection, write_timeout_s: float, patience_s: float) -> None:
        """Take over what *connection* has opened.

        Args:
            connection: nothing may be read through it any more.
            write_timeout_s: how long the server may take in nothing.
            patience_s: after how long without a byte `receive` gives up for now.
        """
        assert connection.socket is not None, "it is connected"
        self._socket = connection.socket
        self._reader = new_reader()
        self._write_timeout_s = write_timeout_s
        self._patience_s = patience_s
        self._socket.settimeout(patience_s)
        # TLS has to be spoken.
        self._is_plain = not hasattr(self._socket, "pending")

    @property
    def patience_s(self) -> float:
        """After how long without a byte `receive` gives up for now."""
        return self._patience_s

    @patience_s.setter
    def patience_s(self, patience_s: float) -> None:
        if patience_s != self._patience_s:
            self._socket.settimeout(patience_s)
            self._patience_s = patience_s

    def send(self, commands: Iterable[Command]) -> None:
        """Send commands in one go.

        Raises:
            OSError: the connection is gone, or the server has taken in nothing for its time.
        """
        data = b"".join(map(_packed, commands))
        try:
            # A socket with a timeout asks whether there is room before it sends: a system call more, and with each one
            # other threads may take the interpreter. Its descriptor just says when there is none.
            sent = os.write(self._socket.fileno(), data) if self._is_plain else self._socket.send(data)
        except (TimeoutError, BlockingIOError):
            sent = 0
        if sent < len(data):
            # More than the socket holds. Patience is for reading alone.
            self._socket.settimeout(self._write_timeout_s)
            self._socket.sendall(memoryview(data)[sent:])
            self._socket.settimeout(self._patience_s)

    def begin(self, commands: Iterable[Command]) -> memoryview:
        """Send as much of commands as goes without waiting, and return the rest. Patience is to be 0.

        Raises:
            OSError: the connection is gone.
        """
        return self.go_on(memoryview(b"".join(map(_packed, commands))))

    def go_on(self, rest: memoryview) -> memoryview:
        """Send more of the rest, as `begin` does."""
        try:
            return rest[self._socket.send(rest) :]
        except BlockingIOError:
            return rest

    def receive(self) -> Any:
        """Return the next reply, as `next_reply` does."""
        return next_reply(self._reader, self._socket)

    def has_reply(self, timeout_s: float) -> bool:
        """Whether a reply, or the end of the connection, begins to come within that time."""
        return bool(self._reader.has_data()) or self.has_bytes(timeout_s)

    def has_bytes(self, timeout_s: float) -> bool:
        """Whether something comes within that time. Half a reply that came long ago does not count."""
        if not self._is_plain and self._socket.pending():  # type: ignore[attr-defined]  # of TLS
            # Of what TLS has deciphered the descriptor says nothing.
            return True
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def fileno(self) -> int:
        """Return the socket's descriptor, for `select`."""
        return int(self._socket.fileno())
