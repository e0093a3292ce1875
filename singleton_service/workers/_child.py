"""What runs in the process of a worker: its hooks, and a thread that listens to the parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import wait

from ._life import Life
from ._story import Story, logger
from ._words import DONE, LEAVE, MAIN_IS_OVER, STOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection
    from typing import Any

    from ._worker import AbstractWorker

__all__ = ["SIGNALS", "run_child"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What is blocked when the process begins, until `run_child` has its handlers."""
ORPHANED_S = 5.0
"""How long main has to end when the parent is dead, before it is broken off."""
LEAVING_S = 2.0
"""And how long its teardown has after that."""


def run_child(
    worker_class: type[AbstractWorker], args: Sequence[Any], kwargs: Mapping[str, Any], line: Connection
) -> None:
    """Make the worker and live its life. The main function of its process."""
    child = _Child(line)
    child.take_signals()
    child.start_listening()
    try:
        worker = worker_class(*args, **kwargs)
    except Exception:
        logger.exception("worker class %s could not be made in its process", worker_class.__qualname__)
        sys.exit(1)
    life = worker._life = Life(worker)
    child.follow(life)
    Story(worker, life, lambda: child.say(MAIN_IS_OVER)).run()
    if life.failure is not None:
        sys.exit(1)
    child.say(DONE)


class _Child:
    """This process, as its parent knows it."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._life: Life | None = None
        self._is_told_to_stop = False
        self._is_told_to_leave = False
        self._term_read, self._term_write = os.pipe()
        # The line's end is how the parent learns that this process is dead: no child of it may hold it open.
        os.set_inheritable(line.fileno(), False)
        os.register_at_fork(after_in_child=line.close)

    def take_signals(self) -> None:
        signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN: programs started here would inherit that
        signal.signal(signal.SIGTERM, self._on_term)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def start_listening(self) -> None:
        threading.Thread(target=self._listen, name="parent (listener)", daemon=True).start()

    def follow(self, life: Life) -> None:
        """Let *life* know of it when this process is told to stop, or was before it began."""
        self._life = life
        if self._is_told_to_stop:
            life.ask_to_stop()

    def say(self, word: bytes) -> None:
        with suppress(OSError):  # the parent is gone, and the listener deals with that
            self._line.send_bytes(word)

    def _on_term(self, *_: object) -> None:
        if self._is_told_to_leave:
            self._is_told_to_leave = False  # once: the teardown that follows is not broken off
            raise SystemExit("broken off: it was told to stop, and did not in time")
        # To the listener: the lock of what main may be waiting for just now can't be taken here.
        os.write(self._term_write, b"t")

    def _listen(self) -> None:
        try:
            while True:
                for ready in wait([self._line, self._term_read]):
                    word = os.read(self._term_read, 1) and STOP if ready == self._term_read else self._line.recv_bytes()
                    self._obey(word)
        except (EOFError, OSError):
            self._obey(STOP)
        time.sleep(ORPHANED_S)
        self._obey(LEAVE)
        time.sleep(LEAVING_S)
        os._exit(1)

    def _obey(self, word: bytes) -> None:
        self._is_told_to_stop = True
        if self._life is not None:
            self._life.ask_to_stop()
        if word == LEAVE:
            self._is_told_to_leave = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
