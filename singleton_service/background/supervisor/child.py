"""One process, from the outside."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing import util
from typing import TYPE_CHECKING, Any

from .words import News, Order, Reader, written

if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCKED = (signal.SIGINT, signal.SIGTERM)
_CHUNK_BYTES = 65536
# Its supervisor tells systemd how all of them are.
_SYSTEMD = "NOTIFY_SOCKET"


def python() -> tuple[str, ...]:
    """Return how to start an interpreter like this one."""
    return (sys.executable, *util._args_from_interpreter_flags())  # type: ignore[attr-defined]  # as multiprocessing does


class Child:
    """A process, its line, and what it has said. Used by its parent's loop alone.

    Attributes:
        name: for logs.
        worker_ids: names under which it may hold tasks.
        loaded: what it has to show of the user's code; None until that is imported.
        serves: whether it takes tasks.
        tasks: how many attempts it has ended.
        was_told: the last order; None while it shall go on.
        kill_at: when it is to be killed, time.monotonic() seconds.
    """

    def __init__(self, name: str, command: Iterable[str], output: int | None = None) -> None:
        """Start it.

        Args:
            name: for logs.
            command: as a `Program` has it.
            output: a descriptor for all that it prints; None: it prints where its parent does.

        Raises:
            OSError: there is no process to be had.
        """
        self.name = name
        self.worker_ids: list[str] = []
        self.loaded: Any = None
        self.serves = False
        self.tasks = 0
        self.was_told: Order | None = None
        self.kill_at = math.inf
        self.began_at = time.monotonic()
        self._reader = Reader()
        self.line, theirs = socket.socketpair()
        self.line.setblocking(False)
        # Until it has handlers of its own, a Ctrl-C would leave a traceback of its imports.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a command of our own making
                [*command, "--line", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(theirs.fileno(),),
                env={name: value for name, value in os.environ.items() if name != _SYSTEMD},
            )
        except BaseException:
            self.line.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def lived_s(self) -> float:
        """How long it has been there."""
        return time.monotonic() - self.began_at

    def listen(self) -> list[str] | None:
        """Take note of what it says, and return the words; None when it has closed the line, or is dead."""
        try:
            data = self.line.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        heard = self._reader.read(data)
        for word, value in heard:
            match word:
                case News.WORKER:
                    self.worker_ids.append(value)
                case News.LOADED:
                    self.loaded = value
                case News.SERVES:
                    self.serves = value
                case News.TASKS:
                    self.tasks = value
        return [word for word, _ in heard]

    def tell(self, order: Order, patience_s: float = math.inf) -> None:
        """Give an order; kill it if it is there after *patience_s*."""
        self.was_told = order
        self.kill_at = time.monotonic() + patience_s
        with suppress(OSError):  # it is dead, and that is about to be noticed
            self.line.send(written(order))
        if self.loaded is None:
            # It does not listen yet, and holds nothing: until it does, TERM ends it.
            self.signal(signal.SIGTERM)

    def let_begin(self) -> None:
        """Say that what it has to show has been shown."""
        with suppress(OSError):  # it is dead
            self.line.send(written(Order.BEGIN))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it."""
        self.kill_at = math.inf
        self._process.kill()

    def poll(self) -> int | None:
        """Return its exit code, that of a signal being negative; None while it lives. Then it is dead for certain."""
        return self._process.poll()

    def close(self) -> None:
        """Hear its last words, and let go of the line; after its end."""
        while self.listen():
            pass
        self.line.close()
