"""The leases this process holds, and which of them an id alone means."""

from __future__ import annotations

import contextvars
import threading
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .lease import Lease

_REMEMBERED = 10_000

_here: contextvars.ContextVar[object] = contextvars.ContextVar("singleton_service_fetched_here")


class Leases:
    """All leases of this process. Thread-safe; asks nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, dict[str, Lease]] = {}
        self._suspects: set[Lease | None] = set()
        self._has_no_suspect = threading.Event()
        self._has_no_suspect.set()
        # Ids of which this process has had a lease before and may have it again: id -> how many so far.
        self._had: OrderedDict[str, int] = OrderedDict()
        self._fetching: dict[str, threading.Lock] = {}
        self._asleep: Counter[str] = Counter()

    # Holding

    def fetching(self, queue: str) -> threading.Lock:
        """Return the lock to hold from sending a fetch until its leases are added."""
        with self._lock:
            return self._fetching.setdefault(queue, threading.Lock())

    def fall_asleep(self, queue: str) -> bool:
        """Begin a fetch that the server may run much later, unless somebody compares leases; `wake_up` ends it.

        Who compares them takes the lock of `fetching` and then looks whether any `is_asleep`.
        """
        fetching = self.fetching(queue)
        if not fetching.acquire(timeout=0):
            return False
        with self._lock:
            self._asleep[queue] += 1
        fetching.release()
        return True

    def wake_up(self, queue: str) -> None:
        """The leases of such a fetch were added, or its connection is closed: none of it will come here."""
        with self._lock:
            self._asleep[queue] -= 1

    def is_asleep(self, queue: str) -> bool:
        """Whether such a fetch is under way: there may be leases that will be heard of."""
        return self._asleep[queue] > 0

    def add(self, leases: Iterable[Lease], context: object = None) -> None:
        """Hold leases that were just fetched."""
        with self._lock:
            for lease in leases:
                lease.context = context
                held = self._held.setdefault(lease.queue, {})
                earlier = held.get(lease.uid)
                held[lease.uid] = lease
                if lease.is_suspect:
                    self._suspects.add(lease)
                    self._has_no_suspect.clear()
                if self._suspects:
                    self._forget_suspect(earlier)

    def drop(self, leases: Iterable[Lease]) -> None:
        """Hold leases no more: their tasks were finished, given back or lost."""
        with self._lock:
            for lease in leases:
                held = self._held.get(lease.queue)
                if held and held.get(lease.uid) is lease:
                    del held[lease.uid]
                if self._suspects:
                    self._forget_suspect(lease)

    def _forget_suspect(self, lease: Lease | None) -> None:
        if lease in self._suspects:
            self._suspects.discard(lease)
            if not self._suspects:
                self._has_no_suspect.set()

    @property
    def has_suspect(self) -> bool:
        """Whether this process has a task that may take it down: nothing else is to be started while it lasts."""
        return bool(self._suspects)

    def wait_for_no_suspect(self, timeout_s: float) -> bool:
        """Wait until this process has no suspect, at most *timeout_s*; whether it has none."""
        return self._has_no_suspect.is_set() or self._has_no_suspect.wait(timeout_s)

    def held(self, queue: str) -> list[Lease]:
        """Return the leases of one queue that this process holds."""
        with self._lock:
            return list(self._held.get(queue, {}).values())

    def held_in(self, queues: Iterable[str]) -> dict[str, int]:
        """Return how many leases of each of these queues this process holds."""
        with self._lock:
            return {queue: len(self._held.get(queue, ())) for queue in queues}

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
