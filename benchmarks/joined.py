"""What threads of one process can enqueue at most: they share round trips, and do nothing else.

Who finds nobody sending sends one call for all that wait, and wakes them. What this takes, one change of threads for
each and the interpreter's lock handed from one to the next, every queue with such threads has to take as well.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class _Turn:
    """One thread's task."""

    __slots__ = ("is_done", "wake")

    def __init__(self) -> None:
        self.is_done = False
        self.wake = threading.Lock()
        self.wake.acquire()


class Joined:
    """Joins what threads send. There is no such thing as a failure here."""

    def __init__(self, send: Callable[[int], object]) -> None:
        """Make one.

        Args:
            send: sends so many tasks and waits for the answer.
        """
        self._send = send
        self._lead = threading.Lock()
        self._waiting: deque[_Turn] = deque()

    def enqueue(self) -> None:
        """Send a task, with those of others."""
        turn = _Turn()
        self._waiting.append(turn)
        if not self._lead.acquire(blocking=False):
            turn.wake.acquire()
            if turn.is_done:
                return
        if not turn.is_done:
            together = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._send(len(together))
            for each in together:
                each.is_done = True
                if each is not turn:
                    each.wake.release()
        self._lead.release()
        if self._waiting and self._lead.acquire(blocking=False):
            # Nobody else takes from there: whoever leads is woken for it.
            if self._waiting:
                self._waiting[0].wake.release()
            else:
                self._lead.release()

    def rate(self, seconds: float, threads: int) -> float:
        """Return tasks a second."""
        counts = [0] * threads
        until_s = time.perf_counter() + seconds

        def enqueue(at: int) -> None:
            while time.perf_counter() < until_s:
                self.enqueue()
                counts[at] += 1

        lines = [threading.Thread(target=enqueue, args=(at,)) for at in range(threads)]
        began_s = time.perf_counter()
        for line in lines:
            line.start()
        for line in lines:
            line.join()
        return sum(counts) / (time.perf_counter() - began_s)
