"""The leases this process holds, and the thread that keeps them alive.

The thread beats for every queue it watches, hands on what dead workers left, and finds leases that the server counts
for this process though it never heard of them (the answer to a fetch was lost).
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .codec import encode_error
from .errors import QueueUnavailableError, TaskQueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .client import QueueClient
    from .lease import Lease
    from .link import Link
    from .protocol import Beat, Protocol

logger = logging.getLogger("singleton_service.task_queue")

_BEATS_PER_LEASE = 5
_STRANGE_BEATS = 3
_REMEMBERED = 10_000
_HEARTBEAT_READ_TIMEOUT_S = 2.0

_here: contextvars.ContextVar[object] = contextvars.ContextVar("singleton_service_fetched_here")


class Leases:
    """All leases of this process. Thread-safe."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._held: dict[str, dict[str, Lease]] = {}
        # Ids of which this process has had a lease before and may have it again: id -> how many so far.
        self._had: OrderedDict[str, int] = OrderedDict()
        self._fetching: dict[str, threading.Lock] = {}
        self._doubtful: set[str] = set()
        self._strange_beats: dict[str, int] = {}
        self._listeners: list[Callable[[str, Beat], None]] = []
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    # Holding

    def fetching(self, queue: str) -> threading.Lock:
        """Return the lock to hold from sending a fetch until its leases are added."""
        with self._lock:
            return self._fetching.setdefault(queue, threading.Lock())

    def add(self, leases: Iterable[Lease], context: object = None) -> None:
        """Hold leases that were just fetched."""
        with self._lock:
            for lease in leases:
                lease.context = context
                self._held.setdefault(lease.queue, {})[lease.uid] = lease

    def drop(self, leases: Iterable[Lease]) -> None:
        """Hold leases no more: their tasks were finished, given back or lost."""
        with self._lock:
            for lease in leases:
                held = self._held.get(lease.queue)
                if held and held.get(lease.uid) is lease:
                    del held[lease.uid]

    def doubt(self, queue: str) -> None:
        """Say that the answer to a fetch was lost: there may be leases nobody knows of."""
        self._doubtful.add(queue)
        self._hurry.set()

    def held_count(self) -> int:
        """Return how many leases this process holds."""
        with self._lock:
            return sum(map(len, self._held.values()))

    # Finishing by id alone

    def note_fetched_here(self, lease: Lease) -> None:
        """Bind a lease to the calling thread or context, for finishing it by id alone."""
        context = _here.get(None)
        if context is None:
            context = object()
            _here.set(context)
        lease.context = context
        with self._lock:
            self._had[lease.id] = self._had.pop(lease.id, 0) + 1
            if len(self._had) > _REMEMBERED:
                self._had.popitem(last=False)

    def find(self, queue: str, uid: str, task_id: str) -> Lease | None:
        """Return the lease that an id alone means here, if it means one.

        It does where the task was fetched, and anywhere while this process has only ever had one lease for it:
        with two, a late thread could finish what another one is running.
        """
        with self._lock:
            lease = self._held.get(queue, {}).get(uid)
            if lease is None:
                return None
            fetched_here = lease.context is not None and lease.context is _here.get(None)
            return lease if fetched_here or self._had.get(task_id, 0) == 1 else None

    def forget(self, lease: Lease) -> None:
        """The task has ended for good: nothing about it needs to be remembered."""
        self.drop([lease])
        with self._lock:
            self._had.pop(lease.id, None)

    # Beating

    def watch(self, queues: Iterable[str]) -> None:
        """Keep the leases of these queues alive from now on; starts the heartbeat if it does not run."""
        with self._lock:
            for queue in queues:
                self._strange_beats.setdefault(queue, 0)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat_on, name="task-queue-heartbeat", daemon=True)
                self._thread.start()
            else:
                self._hurry.set()

    def listen(self, listener: Callable[[str, Beat], None]) -> None:
        """Have *listener* called with each queue's heartbeat, in the heartbeat's thread."""
        self._listeners = [*self._listeners, listener]

    def ignore(self, listener: Callable[[str, Beat], None]) -> None:
        """Stop calling *listener*."""
        self._listeners = [known for known in self._listeners if known != listener]

    def stop(self) -> None:
        """Stop beating and sign off. What is still held ends its lease now and goes on elsewhere."""
        self._stopping.set()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            try:
                protocols = [self._client.protocol(queue) for queue in self._strange_beats]
                self._client.link.run([protocol.leave() for protocol in protocols])
            except TaskQueueError as error:
                # Nothing is lost: the leases end by themselves.
                logger.debug("could not sign off: %s", error)

    def _beat_on(self) -> None:
        interval_s = self._client.limits.lease_ms / 1000 / _BEATS_PER_LEASE
        link = self._client.new_link(_HEARTBEAT_READ_TIMEOUT_S)
        try:
            while not self._stopping.is_set():
                self._hurry.clear()
                try:
                    self._beat(link)
                    self._client.outage.over()
                except QueueUnavailableError as error:
                    self._client.outage.noticed(error)
                except Exception:
                    # The leases of every task of this process hang on this thread.
                    logger.exception("heartbeat failed; trying again")
                self._hurry.wait(interval_s)
        finally:
            link.close()

    def _beat(self, link: Link) -> None:
        with self._lock:
            queues = list(self._strange_beats)
            held = {queue: len(self._held.get(queue, ())) for queue in queues}
        protocols = [self._client.protocol(queue) for queue in queues]
        for protocol, reply in zip(protocols, link.run([each.heartbeat() for each in protocols]), strict=True):
            beat = protocol.beaten(reply)
            for lost in beat.lost_workers:
                if lost != self._client.worker_id:
                    _recover(link, protocol, lost)
            self._compare(link, protocol, beat.owned, held[protocol.queue])
            for listener in self._listeners:
                listener(protocol.queue, beat)

    def _compare(self, link: Link, protocol: Protocol, owned: int, held: int) -> None:
        queue = protocol.queue
        # A fetch or a finish under way makes one count differ, but not three in a row.
        self._strange_beats[queue] = self._strange_beats[queue] + 1 if owned > held else 0
        if queue not in self._doubtful and self._strange_beats[queue] < _STRANGE_BEATS:
            return
        with self.fetching(queue):
            with self._lock:
                really_held = list(self._held.get(queue, {}).values())
            returned = link.run([protocol.reconcile(really_held)])[0]
        self._doubtful.discard(queue)
        self._strange_beats[queue] = 0
        if returned:
            logger.warning("handed back %d tasks of queue %r whose lease got lost on the way here", returned, queue)


def _recover(link: Link, protocol: Protocol, lost: str) -> None:
    error = encode_error(
        datetime.now(UTC),
        "WorkerLost",
        "worker lost 3 times: each time the task ran, its worker process died. "
        "Look for crashes or memory kills in the worker's log, then retry the task",
        None,
    )
    handed_on = buried = 0
    left = 1
    while left > 0:
        more, gone, left = link.run([protocol.recover(lost, error)])[0]
        handed_on += more
        buried += gone
    if handed_on or buried:
        logger.warning(
            "worker %s is lost: %d of its tasks in queue %r go on, %d failed for good",
            lost,
            handed_on,
            protocol.queue,
            buried,
        )
