"""The thread that keeps the leases of this process alive.

It beats for the queues it watches, hands on what dead workers left, and finds leases that the server counts for this
process though it never heard of them (the answer to a fetch was lost).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from .errors import QueueUnavailableError, TaskQueueError
from .leases import Leases
from .outage import backoff_s
from .recovery import recover_lost
from .rhythm import Rhythm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .client import QueueClient
    from .link import Link
    from .protocol import Beat, Protocol

logger = logging.getLogger("singleton_service.task_queue")

_BEATS_PER_LEASE = 5
_LONGEST_INTERVAL_S = 0.75
# After an outage all leases have ended. Whoever is back first leaves the others this long to be back, too; each beats
# more often than that.
_GRACE_S = 1.0
_STRANGE_BEATS = 3
_HEARTBEAT_READ_TIMEOUT_S = 2.0
_LONGEST_WAIT_FOR_FETCH_S = 0.2


class Heartbeat:
    """Beats for one process. Thread-safe.

    Attributes:
        leases: what this process holds.
    """

    def __init__(self, client: QueueClient) -> None:
        self.leases = Leases()
        self._client = client
        self._lock = threading.Lock()
        self._doubtful: set[str] = set()
        self._strange_beats: dict[str, int] = {}
        # Workers whose lease has ended: (queue, worker) -> since when we see that, time.monotonic() seconds.
        self._silent: dict[tuple[str, str], float] = {}
        self._rhythm = Rhythm(client.limits.lease_ms / 1000 / 2)
        self._listeners: list[Callable[[str, Beat], None]] = []
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, queues: Iterable[str]) -> None:
        """Keep the leases of these queues alive from now on; starts the heartbeat if it does not run."""
        with self._lock:
            new = [queue for queue in queues if queue not in self._strange_beats]
            for queue in new:
                self._strange_beats[queue] = 0
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat_on, name="task-queue-heartbeat", daemon=True)
                self._thread.start()
            elif new:
                self._hurry.set()

    def doubt(self, queue: str) -> None:
        """Say that the answer to a fetch was lost: there may be leases nobody knows of."""
        self._doubtful.add(queue)
        self._hurry.set()

    def doubts(self, queue: str) -> bool:
        """Whether it is to be found out which leases of a queue nobody knows of; no fetch may sleep meanwhile."""
        return queue in self._doubtful

    def listen(self, listener: Callable[[str, Beat], None]) -> None:
        """Have *listener* called with each queue's heartbeat, in the heartbeat's thread."""
        self._listeners = [*self._listeners, listener]

    def ignore(self, listener: Callable[[str, Beat], None]) -> None:
        """Stop calling *listener*."""
        self._listeners = [known for known in self._listeners if known != listener]

    def stop(self) -> None:
        """Stop beating and sign off. What is still held goes back, uncounted: nobody crashed."""
        self._stopping.set()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            try:
                protocols = [self._client.protocol(queue) for queue in self._watched()]
                held = {protocol.queue: self.leases.held(protocol.queue) for protocol in protocols}
                given_back = [protocol.release(held[protocol.queue]) for protocol in protocols if held[protocol.queue]]
                self._client.link.run([*given_back, *(protocol.leave() for protocol in protocols)])
            except TaskQueueError as error:
                # Nothing is lost: the leases end by themselves.
                logger.debug("could not sign off: %s", error)

    def _watched(self) -> list[str]:
        with self._lock:
            return list(self._strange_beats)

    def _beat_on(self) -> None:
        interval_s = min(self._client.limits.lease_ms / 1000 / _BEATS_PER_LEASE, _LONGEST_INTERVAL_S)
        link = self._client.new_link(_HEARTBEAT_READ_TIMEOUT_S)
        failures = 0
        try:
            while not self._stopping.is_set():
                self._hurry.clear()
                wait_s = interval_s
                try:
                    self._beat(link)
                    self._client.outage.over()
                    failures = 0
                except QueueUnavailableError as error:
                    self._client.outage.noticed(error)
                    self._silent.clear()
                    self._rhythm.begin_anew()
                    # The next may find a good connection at once, and the leases end all the while.
                    wait_s = min(interval_s, backoff_s(failures))
                    failures += 1
                except Exception:
                    # The leases of every task of this process hang on this thread.
                    logger.exception("heartbeat failed; trying again")
                self._hurry.wait(min([wait_s, *self._until_grace_ends_s()]))
        finally:
            link.close()

    def _beat(self, link: Link) -> None:
        watched = self._watched()
        held = self.leases.held_in(watched)
        busy = {queue for queue in watched if held[queue] or self._strange_beats[queue] or queue in self._doubtful}
        queues = self._rhythm.due(watched, busy, time.monotonic())
        protocols = [self._client.protocol(queue) for queue in queues]
        for protocol, reply in zip(protocols, link.run([each.heartbeat() for each in protocols]), strict=True):
            beat = protocol.beaten(reply)
            self._rhythm.beaten(protocol.queue, beat.workers, time.monotonic())
            for lost in self._long_silent(protocol.queue, beat.lost_workers):
                recover_lost(link, protocol, lost)
            self._compare(link, protocol, beat.owned, held[protocol.queue])
            for listener in self._listeners:
                listener(protocol.queue, beat)

    def _long_silent(self, queue: str, lost_workers: list[str]) -> list[str]:
        """Return those of the workers whose lease has ended that have had their time to come back."""
        now = time.monotonic()
        for known in [known for known in self._silent if known[0] == queue and known[1] not in lost_workers]:
            del self._silent[known]
        others = [lost for lost in lost_workers if lost != self._client.worker_id]
        return [lost for lost in others if now - self._silent.setdefault((queue, lost), now) >= _GRACE_S]

    def _until_grace_ends_s(self) -> list[float]:
        now = time.monotonic()
        return [since + _GRACE_S - now for since in self._silent.values() if since + _GRACE_S > now]

    def _compare(self, link: Link, protocol: Protocol, owned: int, held: int) -> None:
        queue = protocol.queue
        # A fetch or a finish under way makes one count differ, but not three in a row.
        self._strange_beats[queue] = self._strange_beats[queue] + 1 if owned > held else 0
        if queue not in self._doubtful and self._strange_beats[queue] < _STRANGE_BEATS:
            return
        self._doubtful.add(queue)
        fetching = self.leases.fetching(queue)
        # A fetch may hang until its connection gives up, but no lease may end for that: the next beat looks again.
        if not fetching.acquire(timeout=_LONGEST_WAIT_FOR_FETCH_S):
            return
        try:
            if self.leases.is_asleep(queue):
                # Whoever listens to this beat ends it, and has us look again.
                return
            returned = link.run([protocol.reconcile(self.leases.held(queue))])[0]
        finally:
            fetching.release()
        self._doubtful.discard(queue)
        self._strange_beats[queue] = 0
        if returned:
            logger.warning("handed back %d tasks of queue %r whose lease got lost on the way here", returned, queue)
