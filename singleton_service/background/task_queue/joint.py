"""Enqueues of several threads in one command.

Who finds nobody sending sends at once. Those that come meanwhile wait, and one of them sends for all: a thread that
waits costs less than a round trip, and the server a fraction for each task of several. Nobody waits for somebody
else's repeats: what went amiss is each caller's own to do again, alone.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from .errors import QueueUnavailableError, TaskQueueError
from .protocol import Enqueued
from .scripts import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .requests import PreparedTask

# A batch larger than this would hold the server up and outlast a caller's patience.
MAX_BATCH_BYTES = 4 * 1024 * 1024
# Who leads hears within about this that a server is silent. Longer waits only who is forgotten.
_LONGEST_WAIT_S = 1.0


class _Waiter:
    """A task whose thread sleeps until it was sent, or until it is to lead."""

    __slots__ = ("answer", "error", "is_to_lead", "task", "wake")

    def __init__(self, task: PreparedTask) -> None:
        self.task = task
        self.is_to_lead = False
        self.answer: Enqueued | None = None
        self.error: QueueUnavailableError | None = None
        self.wake = threading.Lock()
        self.wake.acquire()


class Joint:
    """Joins the enqueues of one queue. Thread-safe."""

    def __init__(self, send: Callable[[Sequence[PreparedTask]], Enqueued], give_up: Callable[[Joint], object]) -> None:
        """Make one.

        Args:
            send: sends tasks once, over a connection of the calling thread's own.
            give_up: called when a thread that leads may have been lost: the next enqueue needs another Joint.
        """
        self._send = send
        self._give_up = give_up
        self._lead = threading.Lock()
        self._waiting: deque[_Waiter] = deque()

    def enqueue(self, task: PreparedTask) -> Enqueued:
        """Send a task, along with others or alone, and return what became of it.

        Raises:
            QueueUnavailableError: the server is away; the task may be enqueued.
            TaskQueueError: the server refused it.
        """
        if not self._lead.acquire(blocking=False):
            waiter = _Waiter(task)
            self._waiting.append(waiter)
            # Once more: whoever led may have looked for others before there was one.
            if not self._lead.acquire(blocking=False):
                return self._awaited(waiter)
            try:
                self._waiting.remove(waiter)
            except ValueError:
                # Another has led in between, and has its answer.
                self._hand_over()
                return self._awaited(waiter)
        return self._led(task)

    def _awaited(self, waiter: _Waiter) -> Enqueued:
        try:
            is_awake = waiter.wake.acquire(timeout=_LONGEST_WAIT_S)
        except BaseException:
            # It may be told to lead from now on, and will not.
            self._give_up(self)
            raise
        if waiter.is_to_lead:
            return self._led(waiter.task)
        if waiter.answer is not None:
            return waiter.answer
        if waiter.error is not None:
            raise QueueUnavailableError(*waiter.error.args) from waiter.error
        if not is_awake:
            self._give_up(self)
        return self._send([waiter.task])

    def _led(self, task: PreparedTask) -> Enqueued:
        """Send a task and those that wait, with the lead in hand, and hand it on."""
        others: list[_Waiter] = []
        try:
            self._take(others, len(task.body))
            uids, unstarted = self._send([task, *(other.task for other in others)])
            for other, uid in zip(others, uids[1:], strict=True):
                other.answer = Enqueued([uid], unstarted)
            return Enqueued(uids[:1], unstarted)
        except QueueUnavailableError as error:
            # Nobody may wait for one server that is away after the other.
            while self._waiting:
                others.append(self._waiting.popleft())
            for other in others:
                other.error = error
            raise
        except TaskQueueError:
            if not others:
                raise
            # It may be another's task that was refused.
            return self._send([task])
        finally:
            for other in others:
                other.wake.release()
            self._hand_over()

    def _take(self, others: list[_Waiter], size: int) -> None:
        while self._waiting and len(others) < MAX_BATCH - 1:
            size += len(self._waiting[0].task.body)
            if size > MAX_BATCH_BYTES:
                return
            others.append(self._waiting.popleft())

    def _hand_over(self) -> None:
        self._lead.release()
        # Whoever comes while nobody leads takes the lead, and those who wait with it.
        while self._waiting and self._lead.acquire(blocking=False):
            if self._waiting:
                waiter = self._waiting.popleft()
                waiter.is_to_lead = True
                waiter.wake.release()
                return
            self._lead.release()
