"""File locks that a fork neither copies nor gives up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LockFile", "PrivateFd"]

_RETRY_S: Final = 0.005

_open_fds: set[PrivateFd] = set()
_guard = threading.Lock()
_hooked = False


class PrivateFd:
    """A file descriptor of this process alone: closed on exec, and in a child after fork.

    An flock belongs to the open file, which parent and child share. A child that kept the
    descriptor would hold the parent's lock past its death; one that unlocked it would take the
    lock from the parent. Closing a copy does neither.
    """

    def __init__(self, fd: int) -> None:
        """Take over *fd*, which nobody else may close."""
        # A daemon may have closed its standard streams. Their numbers are free then, and a
        # program we start would get its own streams in place of what it should inherit.
        self.fd = fd if fd > 2 else _above_the_streams(fd)
        with _guard:
            _hook_fork()
            _open_fds.add(self)

    def close(self) -> None:
        """Close it; again is harmless. Thread-safe."""
        with _guard:
            fd, self.fd = self.fd, -1
            _open_fds.discard(self)
        if fd >= 0:
            os.close(fd)


class LockFile(PrivateFd):
    """A file that processes lock, shared or alone; the lock goes with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        """Open *path*, creating it if need be; it is not locked yet.

        Raises:
            OSError: It cannot be opened.
        """
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def try_alone(self) -> bool:
        """Return whether the lock is now held by this file alone; never waits."""
        return self._try(fcntl.LOCK_EX)

    def share(self, deadline_s: float) -> bool:
        """Wait for a shared lock until *deadline_s* (monotonic), and return whether it is held."""
        while not self._try(fcntl.LOCK_SH):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_RETRY_S)
        return True

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self.fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _above_the_streams(fd: int) -> int:
    above = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return above


def _hook_fork() -> None:
    global _hooked  # asked for with the first lock, not when the module is imported
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_close_all_in_child)


def _close_all_in_child() -> None:
    for private in list(_open_fds):
        with contextlib.suppress(OSError):
            os.close(private.fd)
        private.fd = -1
    _open_fds.clear()
    _guard.release()
