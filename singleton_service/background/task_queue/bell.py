"""Waking a thread that waits for sockets: a bell is one of them."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .link import Link


class Bell:
    """Rung by any thread, heard by one. What rings before it is listened to is heard at once."""

    def __init__(self) -> None:
        self._ear, self._clapper = socket.socketpair()
        self._ear.setblocking(False)
        self._clapper.setblocking(False)

    def ring(self) -> None:
        """Wake the listener, now or when it next listens. Takes no lock, so signal handlers may."""
        try:
            self._clapper.send(b"!")
        except OSError:
            # Full: it rings already. Closed: nobody listens any more.
            return

    def listen(self, link: Link | None, timeout_s: float) -> bool:
        """Wait for a ring, an answer on *link* or the end of *timeout_s*; whether there is an answer.

        Raises:
            QueueUnavailableError: the link's server is gone.
        """
        # poll, not select: a web process may have more than 1,024 descriptors.
        poll, ear, socket_no = select.poll(), self._ear.fileno(), None
        poll.register(ear, select.POLLIN)
        if link is not None:
            if link.has_reply():
                return True
            socket_no = link.fileno()
            poll.register(socket_no, select.POLLIN)
        readable = dict(poll.poll(timeout_s * 1000))
        # Neither is asked again: who waited for an answer is in a hurry now.
        if ear in readable:
            self.silence()
        return socket_no in readable

    def fileno(self) -> int:
        """Return what can be read once it rang, for those who listen to more than a link; then call `silence`."""
        return self._ear.fileno()

    def close(self) -> None:
        """Close both ends."""
        self._ear.close()
        self._clapper.close()

    def silence(self) -> None:
        """Forget that it rang."""
        try:
            while self._ear.recv(64):
                pass
        except BlockingIOError:
            return
