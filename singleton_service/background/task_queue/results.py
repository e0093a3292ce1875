"""Waiting for a task to end, without polling: one subscription per process, and a mark in the queue.

A notification can be lost, so a waiter reads after it has subscribed, after a reconnect, now and then, and at the end.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from .bell import Bell
from .errors import QueueUnavailableError
from .outage import backoff_s

if TYPE_CHECKING:
    from .client import QueueClient
    from .link import Link

logger = logging.getLogger("singleton_service.task_queue")

_LOOK_ANYWAY_S = 5.0
_SUBSCRIPTION_READ_TIMEOUT_S = 30.0
_LONGEST_SILENCE_S = 60.0


class EndingWatch:
    """Tells waiting threads when their tasks end."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], set[threading.Event]] = {}
        self._queues: set[str] = set()
        self._asked: set[str] = set()
        self._subscribed: set[str] = set()
        self._stopping = threading.Event()
        self._bell = Bell()
        self._thread: threading.Thread | None = None

    def wait(self, queue: str, uid: str, timeout_s: float) -> bool:
        """Wait until the task may have ended, at most *timeout_s*. Look again afterwards, whatever it says."""
        woken = threading.Event()
        with self._lock:
            self._waiting.setdefault((queue, uid), set()).add(woken)
            if queue not in self._queues:
                self._queues.add(queue)
                self._bell.ring()
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="task-queue-results", daemon=True)
                self._thread.start()
        try:
            if queue in self._subscribed:
                protocol = self._client.protocol(queue)
                # Marked after subscribing: an end before the mark is seen here, one after it is published.
                if self._client.read([protocol.await_end(uid)])[0] != b"waiting":
                    return True
            return woken.wait(min(timeout_s, _LOOK_ANYWAY_S))
        finally:
            with self._lock:
                events = self._waiting[queue, uid]
                events.discard(woken)
                if not events:
                    del self._waiting[queue, uid]

    def stop(self) -> None:
        """Stop listening; whoever waits looks once more."""
        self._stopping.set()
        self._bell.ring()
        self._wake_all()
        if self._thread is not None:
            self._thread.join()
        self._bell.close()

    def _listen(self) -> None:
        link = self._client.new_link(_SUBSCRIPTION_READ_TIMEOUT_S)
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    self._pass_on(link)
                    failures = 0
                except QueueUnavailableError as error:
                    self._client.outage.noticed(error)
                    self._asked.clear()
                    self._subscribed.clear()
                    self._stopping.wait(backoff_s(failures))
                    failures += 1
        finally:
            link.close()

    def _pass_on(self, link: Link) -> None:
        for queue in self._queues - self._asked:
            link.send(b"SUBSCRIBE", self._client.protocol(queue).keys.ended_channel)
            self._asked.add(queue)
        if not self._bell.listen(link, _LONGEST_SILENCE_S):
            return
        kind, channel, uid = link.receive()
        queue = channel.decode().rpartition("{")[2].rpartition("}")[0]
        if kind == b"subscribe":
            self._subscribed.add(queue)
            # They have not been able to ask until now.
            self._wake_all()
        elif kind == b"message":
            with self._lock:
                for event in self._waiting.get((queue, uid.decode()), ()):
                    event.set()

    def _wake_all(self) -> None:
        with self._lock:
            for events in self._waiting.values():
                for event in events:
                    event.set()
