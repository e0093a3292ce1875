"""Enqueues of coroutines: each event loop has a connection of its own (loop_line.py)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from singleton_service._loops import running_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from .client import QueueClient
    from .errands import Errands
    from .loop_line import LoopLine


class LoopLines:
    """The lines of all event loops that enqueue. Thread-safe."""

    def __init__(self, client: QueueClient, errands: Errands) -> None:
        self._client = client
        self._errands = errands
        self._lock = threading.Lock()
        self._lines: WeakKeyDictionary[AbstractEventLoop, LoopLine] = WeakKeyDictionary()

    def line(self) -> LoopLine:
        """Return the line of the running loop."""
        loop = running_loop()
        assert loop is not None
        line = self._lines.get(loop)
        if line is None:
            from .loop_line import LoopLine  # noqa: PLC0415 - only for coroutines

            with self._lock:
                for ended in [each for each in self._lines if each.is_closed()]:
                    self._lines.pop(ended).stop(ended)
                line = self._lines[loop] = LoopLine(self._client, self._errands)
        return line

    def stop(self) -> None:
        """Close all lines; whoever waits on one goes another way."""
        with self._lock:
            lines = list(self._lines.items())
        for loop, line in lines:
            line.stop(loop)
