"""What a worker and its processes say to each other: frames of a length, a kind and bytes."""

from __future__ import annotations

import signal
import struct
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

HEAD = struct.Struct(">QB")
TELL_WHERE = signal.SIGUSR2
"""The signal at which a process writes down where it is, whatever it does."""
CHUNK_BYTES = 1024 * 1024


class Kind(IntEnum):
    """What a frame is about."""

    # To a process.
    SETUP = 1
    """The first: what it needs to know of its parent."""
    JOB = 2
    INTERRUPT = 3
    """The job that runs is to end: its number, and an `Order` as text."""
    CLOSE = 4
    """No more jobs: stop the services, and end."""

    # From a process.
    READY = 11
    FAILED = 12
    """It can't be used, and why."""
    BEGUN = 13
    """The handler is about to be called: its time limit in seconds, as text."""
    MISSED = 14
    """An interruption found no handler, for it had ended by itself: the job's number."""
    LOG = 15
    DONE = 16


def frame(kind: Kind, data: bytes = b"") -> bytes:
    """Return the bytes of one frame."""
    return HEAD.pack(len(data), kind) + data


class Line:
    """The parent's end: it never blocks, for one thread serves all processes."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._unsent = bytearray()
        self._received = bytearray()

    def fileno(self) -> int:
        """Return the socket's descriptor, for selectors."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits until it can be written."""
        return bool(self._unsent)

    def send(self, kind: Kind, data: bytes = b"") -> None:
        """Send a frame: what can't be written now is kept for `flush`."""
        self._unsent += frame(kind, data)
        self.flush()

    def flush(self) -> None:
        """Write what can be written. That nobody reads any more is found out by `receive`."""
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent[:CHUNK_BYTES])]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._unsent.clear()

    def receive(self) -> list[tuple[Kind, bytes]]:
        """Read what is there, and return the frames that are complete.

        Raises:
            EOFError: there is nothing more to come.
        """
        try:
            chunk = self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            raise EOFError
        self._received += chunk
        frames = []
        while len(self._received) >= HEAD.size:
            length, kind = HEAD.unpack_from(self._received)
            end = HEAD.size + length
            if len(self._received) < end:
                break
            frames.append((Kind(kind), bytes(self._received[HEAD.size : end])))
            del self._received[:end]
        return frames

    def close(self) -> None:
        """Close it; harmless when repeated."""
        self._socket.close()
