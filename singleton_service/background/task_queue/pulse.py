"""Whether a silent connection is dead: what it can't say itself, a fresh one can."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from singleton_service.background.engine import EngineError

if TYPE_CHECKING:
    from singleton_service.background.engine import Engine

# An answer that takes longer is worth a question. Where every answer does, it costs a connection each half second.
PATIENCE_S = 0.3
_REST_S = 0.5
_LONGEST_ANSWER_S = 0.5
# A script, as nearly all we send: PING is answered even while a server lets everything else wait (CLIENT PAUSE WRITE).
_QUESTION = (b"EVAL", b"return 1", 0)


class Pulse:
    """Feels whether the server lives while a connection to it is silent. Thread-safe; one for all links of a process.

    A peer that goes without a word leaves a connection half open: what is sent there vanishes, and nothing ever says
    so. A server that is slow, paused or stopped is just as silent. A fresh connection tells them apart: a server does
    one thing after the other, so once it has answered there, what it was asked here before will not be answered.

    Attributes:
        generation: raised by each death. What took one connection has mostly taken all, so those of an earlier
            generation are replaced before they are used again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._rests_until = 0.0
        self.generation = 0

    def outlives(self, generation: int) -> bool:
        """Whether a connection of that generation, silent for PATIENCE_S with an answer due, is the only silent one.

        Takes 1.5 s at most, and next to nothing as a rule: one thread asks at a time, and not always.
        """
        if generation != self.generation:
            return True
        if time.monotonic() < self._rests_until or not self._asking.acquire(blocking=False):
            return False
        try:
            return self._is_felt()
        finally:
            # However many wait for a server that stands still: a stopped one is not to wake up to a crowd.
            self._rests_until = time.monotonic() + _REST_S
            self._asking.release()

    def bury(self, generation: int) -> None:
        """Say that a connection of that generation was dead."""
        with self._lock:
            if generation == self.generation:
                self.generation += 1

    def _is_felt(self) -> bool:
        connection = None
        try:
            connection = self._engine.connection(_LONGEST_ANSWER_S)
            connection.connect()
            # Refused by a server that can't do what we ask for now (BUSY, LOADING).
            return connection.call(_QUESTION) == [1]
        except (EngineError, OSError):
            return False
        finally:
            if connection is not None:
                connection.disconnect()
