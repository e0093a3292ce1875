"""The thread of a supervisor that hands on at once what its dead children held."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from singleton_service.background.config import settings_in_force
from singleton_service.background.engine import EngineError, open_engine
from singleton_service.background.task_queue.client import QueueClient
from singleton_service.background.task_queue.errors import TaskQueueError
from singleton_service.background.task_queue.outage import backoff_s
from singleton_service.background.task_queue.recovery import recover_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger("singleton_service.supervisor")

# What a child had sent when it died may arrive after the first.
_TIMES_S = (0.0, 0.25, 2.0)
# By then the other workers have done it, leases having ended.
_GIVE_UP_S = 60.0


class Recoverer:
    """Has a connection of its own, and with an embedded server a share in it: that outlives the children's deaths.

    Attributes:
        buried: how many tasks failed for good, having taken their worker down too often.
    """

    def __init__(self) -> None:
        self.buried = 0
        self._news: SimpleQueue[list[str] | None] = SimpleQueue()
        self._due: list[tuple[float, float, str]] = []
        self._client: QueueClient | None = None
        self._failures = 0
        self._is_closing = False
        self._thread = threading.Thread(target=self._main, name="supervisor (recoverer)", daemon=True)
        self._thread.start()

    def recover(self, worker_ids: Iterable[str]) -> None:
        """Hand on what these held, whose processes are dead for certain. Returns at once."""
        self._news.put(list(worker_ids))

    def close(self, timeout_s: float) -> None:
        """Do what is left to do, once, and let go of the server."""
        self._news.put(None)
        self._thread.join(timeout_s)

    def _main(self) -> None:
        try:
            self._try(self._open)
            while not self._is_closing:
                self._hear()
                self._try(self._recover_due)
        finally:
            if self._client is not None:
                self._client.close()

    def _hear(self) -> None:
        wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
        try:
            worker_ids = self._news.get(timeout=wait_s)
        except Empty:
            return
        now = time.monotonic()
        if worker_ids is None:
            self._is_closing = True
            # At once, what was to be tried again.
            self._due = [(now, since, name) for name, since in {name: since for _, since, name in self._due}.items()]
            return
        for name in worker_ids:
            for after_s in _TIMES_S:
                heapq.heappush(self._due, (now + after_s, now, name))

    def _open(self) -> QueueClient:
        if self._client is None:
            settings = settings_in_force()
            self._client = QueueClient(open_engine(settings), settings)
            self._client.link.call(b"PING")  # the connection and the scripts' names are there before they are needed
        return self._client

    def _recover_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            self.buried += recover_dead(self._open(), self._due[0][2])
            heapq.heappop(self._due)
            self._failures = 0

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except (TaskQueueError, EngineError) as error:
            logger.debug("can't hand on tasks yet: %s", error)
            now = time.monotonic()
            wait_s = backoff_s(self._failures)
            self._failures += 1
            later = [(max(at, now + wait_s), since, name) for at, since, name in self._due if now < since + _GIVE_UP_S]
            self._due = sorted(later)
