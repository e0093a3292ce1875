"""Telling those who wait how their tasks fare, without polling: one subscription per process, and a mark per task.

Everything may be lost: a message, a mark, a connection. So each task that is waited for is asked about after the
subscription stands, after a reconnect, and every five seconds; all those of a queue in one request. Every second the
subscription itself is asked whether it still stands.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from .bell import Bell
from .errors import QueueUnavailableError, TaskQueueError, stopped_meanwhile
from .outage import backoff_s
from .pulse import PATIENCE_S
from .scripts import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .client import QueueClient
    from .waiters import Waiter

    Key = tuple[str, str]

logger = logging.getLogger("singleton_service.task_queue")

LOOK_ANYWAY_S = 5.0
_ASK_AFTER_S = 1.0
_READ_TIMEOUT_S = 2.0
_LONGEST_SILENCE_S = 60.0
_A_MOMENT_S = 0.1
_END, _PROGRESS, _NOTHING = b"e", b"p", b"n"


class EndingWatch:
    """Tells waiters of their tasks' ends, and of their progress. One thread, started with the first of them."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self._who = client.worker_id.rpartition(":")[2]
        self._lock = threading.Lock()
        self._waiting: dict[Key, set[Waiter]] = {}
        # Whose mark in the server may be another than it should be.
        self._stale: set[Key] = set()
        self._queues: set[str] = set()
        self._stopping = threading.Event()
        self._bell = Bell()
        self._thread: threading.Thread | None = None
        # From here on the thread's alone.
        self._ear = client.new_link(_READ_TIMEOUT_S)
        self._mouth = client.new_link(_READ_TIMEOUT_S)
        self._asked: set[str] = set()
        self._subscribed: set[str] = set()
        self._marked: dict[Key, bytes] = {}
        self._next_look_at = 0.0
        self._heard_at = 0.0
        self._unanswered_since: float | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether nobody is told anything any more."""
        return self._stopping.is_set()

    def add(self, waiter: Waiter) -> None:
        """Tell *waiter* from now on; it has looked at its task, or will.

        Raises:
            QueueUnavailableError: the service was stopped.
        """
        with self._lock:
            if self.is_stopped:
                raise stopped_meanwhile()
            self._waiting.setdefault(waiter.key, set()).add(waiter)
            self._stale.add(waiter.key)
            self._queues.add(waiter.key[0])
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="task-queue-results", daemon=True)
                self._thread.start()
        self._bell.ring()

    def remove(self, waiter: Waiter) -> None:
        """Tell *waiter* no more. Its mark is taken from the server, unless it has gone with the task."""
        with self._lock:
            waiters = self._waiting.get(waiter.key, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiting.pop(waiter.key, None)
            self._stale.add(waiter.key)
        if waiter.key in self._marked:
            self._bell.ring()

    def stop(self) -> None:
        """Stop; whoever waits is told."""
        with self._lock:
            self._stopping.set()
            for waiters in self._waiting.values():
                for waiter in waiters:
                    waiter.tell()
        self._bell.ring()
        if self._thread is not None:
            self._thread.join()
        self._bell.close()

    # In the thread

    def _run(self) -> None:
        failures = 0
        try:
            while not self.is_stopped:
                try:
                    self._turn()
                    failures = 0
                except Exception as error:
                    # Whoever waits for a result hangs on this thread.
                    if isinstance(error, QueueUnavailableError):
                        self._client.outage.noticed(error)
                    else:
                        logger.exception("waiting for results stumbled; it goes on")
                    self._begin_anew()
                    self._stopping.wait(backoff_s(failures))
                    failures += 1
            with self._lock:
                self._waiting.clear()
            with suppress(TaskQueueError):
                self._mark(list(self._marked))
        finally:
            self._ear.close()
            self._mouth.close()

    def _begin_anew(self) -> None:
        self._ear.close()
        self._mouth.close()
        self._asked.clear()
        self._subscribed.clear()
        self._unanswered_since = None
        with self._lock:
            self._stale |= self._waiting.keys() | self._marked.keys()
        # They look for themselves: should the server be gone, each says so to its caller.
        self._tell(list(self._waiting))

    def _turn(self) -> None:
        for queue in self._queues - self._asked:
            self._ask(b"SUBSCRIBE", self._client.protocol(queue).keys.ended_channel)
            self._asked.add(queue)
        if time.monotonic() >= self._next_look_at:
            self._look_anyway()
        self._see_that_it_stands()
        with self._lock:
            due = [key for key in self._stale if key[0] in self._subscribed]
            self._stale.difference_update(due)
        self._mark(due)
        left_s = self._until_next_look_s()
        if any(queue in self._subscribed for queue, _ in list(self._stale)):
            # Somebody left while the mark was made.
            left_s = 0.0
        if self._bell.listen(self._ear, max(0.0, left_s)):
            self._hear()
            while self._ear.has_reply():
                self._hear()

    def _look_anyway(self) -> None:
        """Ask about everybody's task."""
        with self._lock:
            self._stale |= self._waiting.keys()
        self._next_look_at = time.monotonic() + LOOK_ANYWAY_S

    def _see_that_it_stands(self) -> None:
        """Ask whether the subscription still stands, or whether that question is answered."""
        now, since = time.monotonic(), self._unanswered_since
        if since is None and self._waiting and self._asked and now - self._heard_at >= _ASK_AFTER_S:
            self._ask(b"PING")
        unanswered_s = 0.0 if since is None or self._ear.has_reply() else now - since
        is_deaf = unanswered_s > _READ_TIMEOUT_S or (unanswered_s >= PATIENCE_S and self._ear.is_dead())
        if is_deaf or self._ear.is_outlived:
            raise QueueUnavailableError(self._client.engine.display_url, "a subscription is not answered any more")

    def _until_next_look_s(self) -> float:
        now = time.monotonic()
        if self._unanswered_since is not None:
            return max(_A_MOMENT_S, self._unanswered_since + PATIENCE_S - now)
        if not self._waiting:
            return _LONGEST_SILENCE_S
        return max(0.0, min(self._next_look_at, self._heard_at + _ASK_AFTER_S) - now)

    def _ask(self, *command: bytes) -> None:
        if self._unanswered_since is None:
            self._unanswered_since = time.monotonic()
        self._ear.send(*command)

    def _hear(self) -> None:
        kind, subject, *rest = self._ear.receive()
        self._heard_at = time.monotonic()
        self._unanswered_since = None
        if kind == b"pong":
            return
        queue = subject.decode().rpartition("{")[2].rpartition("}")[0]
        if kind == b"subscribe":
            self._subscribed.add(queue)
        elif kind == b"message":
            uid, _, note = rest[0].partition(b" ")
            key = (queue, uid.decode())
            if not note:
                # The mark has gone with the task.
                self._marked.pop(key, None)
            self._tell([key], note or None)

    def _mark(self, keys: Iterable[Key]) -> None:
        """Have the server know who waits for these tasks, and tell of those that have ended already."""
        wanted: dict[str, list[tuple[str, bytes]]] = {}
        with self._lock:
            for queue, uid in keys:
                waiters = self._waiting.get((queue, uid))
                what = _NOTHING
                if waiters:
                    what = _PROGRESS if any(waiter.wants_progress for waiter in waiters) else _END
                if waiters or (queue, uid) in self._marked:
                    wanted.setdefault(queue, []).append((uid, what))
        for queue, items in wanted.items():
            for first in range(0, len(items), MAX_BATCH):
                self._mark_some(queue, items[first : first + MAX_BATCH])

    def _mark_some(self, queue: str, items: list[tuple[str, bytes]]) -> None:
        (verdicts,) = self._mouth.run([self._client.protocol(queue).await_ends(self._who, items)])
        self._client.outage.over()
        ended = []
        for (uid, what), verdict in zip(items, verdicts, strict=True):
            if verdict == ord("w"):
                self._marked[queue, uid] = what
                continue
            self._marked.pop((queue, uid), None)
            if what != _NOTHING:
                ended.append((queue, uid))
        self._tell(ended)

    def _tell(self, keys: Iterable[Key], note: bytes | None = None) -> None:
        with self._lock:
            for key in keys:
                for waiter in self._waiting.get(key, ()):
                    if note is None or waiter.wants_progress:
                        waiter.tell(note)
