"""The protocol, verb by verb: what is sent for it, and what its answer means.

One `Protocol` speaks for one queue; it holds no connection, so the same one serves every thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from .keys import QueueKeys
from .lease import Lease
from .scripts import MAX_BATCH
from .wire import Head

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .link import Command
    from .scripts import Scripts

PROTOCOL_VERSION = 3
SEEN_FOR_MS = 24 * 3600 * 1000
_NO_TRAIT = ord("0")


class Enqueued(NamedTuple):
    """What became of a batch.

    Attributes:
        uids: those the items go by: another task's where that one has the unique key, None where one was refused.
        unstarted: how many tasks that have not started a queue that refused some holds.
    """

    uids: list[str | None]
    unstarted: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought.

    Attributes:
        leases: the tasks.
        next_ms: until the next due or held task; None when there is none.
        is_cut_short: whether so much was passed over that there may be more to find at once.
        left_aside: for each lane that was named, whether tasks of it stand aside.
    """

    leases: list[Lease]
    next_ms: int | None
    is_cut_short: bool = False
    left_aside: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat brought back.

    Attributes:
        owned: how many tasks the server counts for this worker.
        next_ms: until there is work, 0 for now; None when none is in sight.
        lost_workers: those whose lease has ended.
        cancelled: uids of tasks of this worker that are to be cancelled.
        workers: how many there are, this one included.
    """

    owned: int
    next_ms: int | None
    lost_workers: list[str]
    cancelled: list[str]
    workers: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how many: what the settings say, on the wire."""

    lease_ms: int
    result_ttl_ms: int
    max_results: int
    failed_ttl_ms: int
    max_failed: int
    unknown_task_ms: int
    max_backlog: int = 0


# A start that comes late, as every timer does, is made up for by early ones: so far ahead of the even pace.
_EARLY_US = 20_000
_EARLY_SHARE = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How many may run at once, and how many may start in how many microseconds; 0 where there is no limit."""

    max_running: int
    rate: int
    per_us: int

    def encode(self) -> bytes:
        """Write it as limit.lua takes it.

        What may start early is added to the time for which *rate* starts are meant. So there are never more of them in
        any such time, and all the same nearly as many as are allowed.
        """
        early_us = min(_EARLY_US, self.per_us // _EARLY_SHARE) if self.rate else 0
        every_us = -(-(self.per_us + early_us) // self.rate) if self.rate else 0
        return b"%d|%d|%d" % (self.max_running, every_us, early_us)


def _are_plain(items: Iterable[tuple[str, bytes, bytes]]) -> bool:
    """Tell whether all are what add.lua takes."""
    for uid, when, body in items:  # noqa: SIM110 - a generator is a call more for each
        if when != b"0" or body[2] != _NO_TRAIT or uid[0] == "=":
            return False
    return True


class Protocol:
    """Commands and answers for one queue, spoken by one worker (every process has one name for both roles)."""

    def __init__(self, scripts: Scripts, namespace: str, queue: str, worker: str, limits: Limits) -> None:
        self.queue = queue
        self.worker = worker
        self.keys = QueueKeys(namespace, queue, worker)
        self.limits = limits
        self._scripts = scripts
        self._burials: dict[str, bytes | int] = {
            "failed_ttl_ms": limits.failed_ttl_ms,
            "max_failed": limits.max_failed,
        }
        # What every script needs that may end a task on the way.
        self._endings: dict[str, bytes | int] = {
            "result_ttl_ms": limits.result_ttl_ms,
            "max_results": limits.max_results,
            "ended_channel": self.keys.ended_channel,
        }

    def enqueue(self, items: Sequence[tuple[str, bytes, bytes]]) -> Command:
        """Items are (uid, when, body), see enqueue.lua and add.lua; `enqueued` reads the answer."""
        if not self.limits.max_backlog and len(items) <= MAX_BATCH and _are_plain(items):
            return self._add.call(tuple([part for uid, _, body in items for part in (uid, body)]))
        return self._enqueue.call(tuple(chain.from_iterable(items)))

    @cached_property
    def _add(self) -> Head:
        return Head(self._scripts.add.command(self.keys, protocol=PROTOCOL_VERSION))

    @cached_property
    def _enqueue(self) -> Head:
        command = self._scripts.enqueue.command(
            self.keys,
            protocol=PROTOCOL_VERSION,
            max_backlog=self.limits.max_backlog,
            seen_for_ms=SEEN_FOR_MS,
            **self._endings,
        )
        return Head(command)

    @staticmethod
    def enqueued(reply: list[Any], uids: Sequence[str]) -> Enqueued:
        """Read the answer of an enqueue of these uids."""
        found: list[str | None] = [*uids]
        for n in range(2, len(reply), 2):
            found[int(reply[n]) - 1] = reply[n + 1].decode() or None
        return Enqueued(found, int(reply[1]))

    def fetch(
        self, max_count: int, start_count: int, *, take_suspect: bool = True, lanes: Iterable[tuple[int, bytes]] = ()
    ) -> Command:
        """Ask for leases; `fetched` reads the answer.

        Args:
            max_count: how many tasks to bring at most.
            start_count: how many of them begin at once.
            take_suspect: whether a task that went down with its worker twice may be one of them.
            lanes: (how many tasks to bring at most, names of tasks, a line each), for what has less room than the rest.
        """
        script = self._scripts.fetch
        return script.command(
            self.keys,
            [b"%d\n%b" % lane for lane in lanes],
            protocol=PROTOCOL_VERSION,
            worker=self.worker,
            lease_ms=self.limits.lease_ms,
            max_count=max_count,
            start_count=start_count,
            take_suspect=int(take_suspect),
            **self._endings,
        )

    def fetched(self, reply: list[Any]) -> Fetched:
        """Read the answer of a fetch."""
        fence, next_ms, left = reply[:3]
        token = b"%b|%b" % (fence, self.worker.encode())
        number = int(fence)
        queue, worker = self.queue, self.worker
        leases = []
        for uid, body, past in zip(reply[3::3], reply[4::3], reply[5::3], strict=True):
            retries = crashes = 0
            if past:
                retries, crashes = map(int, past.split(b"|")[:2])
            leases.append(Lease(queue, uid.decode(), number, worker, token, body, retries, crashes))
        is_cut_short, *aside = (mark == ord("1") for mark in left)
        return Fetched(leases, next_ms if next_ms >= 0 else None, is_cut_short, tuple(aside))

    def start(self, leases: Iterable[Lease]) -> Command:
        """Say that leases which were fetched ahead have begun to run."""
        script = self._scripts.start
        return script.command(self.keys, _tokens(leases))

    def complete(self, items: Iterable[tuple[Lease, bytes]], *, again: bool = False) -> Command:
        """Items are (lease, result as JSON). The answer has b"1" or b"0" per item, as for all that finish a task."""
        script = self._scripts.complete
        flat = [part for lease, result_json in items for part in (lease.uid, lease.token, result_json)]
        return script.command(self.keys, flat, again=int(again), **self._endings)

    def retry(self, items: Iterable[tuple[Lease, int, bytes]], *, again: bool = False) -> Command:
        """Items are (lease, delay in ms, error)."""
        script = self._scripts.retry
        flat: list[bytes | str | int] = []
        for lease, delay_ms, error in items:
            flat += (lease.uid, lease.token, delay_ms, lease.retry_count + 1, error)
        return script.command(self.keys, flat, again=int(again), **self._endings)

    def bury(self, items: Iterable[tuple[Lease, bytes]], *, again: bool = False) -> Command:
        """Items are (lease, error)."""
        script = self._scripts.bury
        flat = [part for lease, error in items for part in (lease.uid, lease.token, error)]
        channel = self.keys.ended_channel
        return script.command(self.keys, flat, again=int(again), ended_channel=channel, **self._burials)

    def release(self, leases: Iterable[Lease]) -> Command:
        """Hand tasks back, unfinished and uncounted."""
        script = self._scripts.release
        return script.command(self.keys, _tokens(leases), **self._endings)

    def hold(self, items: Iterable[tuple[Lease, str, bytes]]) -> Command:
        """Items are (lease, reason, error for when it was held too long; b"" where it may be held for ever)."""
        script = self._scripts.hold
        flat = [part for lease, reason, error in items for part in (lease.uid, lease.token, reason, error)]
        return script.command(
            self.keys,
            flat,
            limit_ms=self.limits.unknown_task_ms,
            **self._endings,
        )

    def heartbeat(self) -> Command:
        """Renew this worker's leases; `beaten` reads the answer."""
        script = self._scripts.heartbeat
        lease_ms = self.limits.lease_ms
        return script.command(self.keys, worker=self.worker, lease_ms=lease_ms, **self._burials, **self._endings)

    @staticmethod
    def beaten(reply: list[Any]) -> Beat:
        """Read the answer of a heartbeat."""
        owned, next_ms, lost, cancelled, workers = reply
        return Beat(
            owned,
            next_ms if next_ms >= 0 else None,
            [worker.decode() for worker in lost],
            [uid.decode() for uid in cancelled],
            workers,
        )

    def recover(self, lost_worker: str, error: bytes, *, is_dead: bool = False) -> Command:
        """Hand on what a dead worker held, a page at a time: handed on, buried, left (-1: it lives).

        With *is_dead*, which is for who has seen its process dead, the end of its lease is not waited for.
        """
        script = self._scripts.recover
        return script.command(
            replace(self.keys, worker=lost_worker),
            lost_worker=lost_worker,
            is_dead=int(is_dead),
            error=error,
            **self._endings,
        )

    def reconcile(self, held: Iterable[Lease]) -> Command:
        """Hand back leases of this worker that it does not hold. No fetch of it may be under way."""
        script = self._scripts.reconcile
        return script.command(self.keys, [lease.uid for lease in held], worker=self.worker, **self._endings)

    def leave(self) -> Command:
        """Sign this worker off."""
        script = self._scripts.leave
        return script.command(self.keys, worker=self.worker)

    def status(self, uids: Sequence[str]) -> Command:
        """Read tasks: seven values per uid, see status.lua and codec.decode_task."""
        script = self._scripts.status
        return script.command(self.keys, uids, result_ttl_ms=self.limits.result_ttl_ms)

    def progress(self, items: Iterable[tuple[Lease, bytes, bytes]]) -> Command:
        """Say how far tasks have come, items are (lease, percent, message): b"1" or b"0" per item."""
        script = self._scripts.progress
        flat = [part for lease, percent, message in items for part in (lease.uid, lease.token, percent, message)]
        return script.command(self.keys, flat, ended_channel=self.keys.ended_channel)

    def browse(self, left: Sequence[str], **where: str | int) -> Command:
        """Read a page of tasks, see browse.lua; *left* are uids that an earlier page had no room for."""
        script = self._scripts.browse
        return script.command(self.keys, left, result_ttl_ms=self.limits.result_ttl_ms, **where)

    def await_ends(self, who: str, items: Iterable[tuple[str, bytes]]) -> Command:
        """Ask to be told of tasks, items are (uid, b"e" end, b"p" progress, too, or b"n" no more), see await.lua."""
        script = self._scripts.await_ends
        return script.command(self.keys, [part for item in items for part in item], who=who)

    def cancel(self, uids: Sequence[str]) -> Command:
        """Cancel tasks: b"0" unknown or ended, b"1" cancelled, b"2" running and told, per uid."""
        script = self._scripts.cancel
        return script.command(self.keys, uids, **self._endings)

    def revive(self, uids: Sequence[str]) -> Command:
        """Put failed tasks back: b"1", b"0" when it has not failed, or who has its unique key, per uid."""
        script = self._scripts.revive
        return script.command(self.keys, uids)

    def delete(self, uids: Sequence[str]) -> Command:
        """Forget tasks that have ended: b"1" or b"0" per uid."""
        script = self._scripts.delete
        return script.command(self.keys, uids)

    def purge(self, limit: int) -> Command:
        """Cancel a bounded lot of what has not started: how many, whether there may be more."""
        script = self._scripts.purge
        return script.command(self.keys, limit=limit, **self._endings)

    def pause(self, *, paused: bool) -> Command:
        """Stop handing out tasks, or go on."""
        script = self._scripts.pause
        return script.command(self.keys, paused=int(paused))

    def limit(self, pace: Pace) -> Command:
        """Limit how many tasks run at once and start in a time."""
        script = self._scripts.limit
        return script.command(self.keys, limits=pace.encode())

    def limit_keys(self, pace: Pace, cursor: bytes) -> Command:
        """Limit each limit key on its own, b"new" at first; the answer is where to go on, b"" at the end."""
        script = self._scripts.limit_keys
        return script.command(self.keys, limits=pace.encode(), cursor=cursor)

    def stats(self) -> Command:
        """Count; `counted` reads the answer."""
        script = self._scripts.stats
        return script.command(self.keys)

    @staticmethod
    def counted(reply: list[Any]) -> dict[str, int]:
        """Read the answer of stats."""
        names = ("ready", "suspects", "due", "held", "waiting", "running", "finished", "dead", "workers", "paused")
        counts = {name: int(reply[n]) for n, name in enumerate(names)}
        for n in range(len(names), len(reply), 2):
            counts[f"total_{reply[n].decode()}"] = int(reply[n + 1])
        return counts

    def counters(self) -> Command:
        """Read all that is counted; `tallied` reads the answer."""
        return (b"HGETALL", self.keys.key("counters"))

    @staticmethod
    def tallied(reply: list[bytes]) -> dict[str, int]:
        """Read the answer of counters."""
        return {reply[n].decode(): int(reply[n + 1]) for n in range(0, len(reply), 2)}

    def sweep(self, limit: int) -> Command:
        """Forget a bounded lot of old finished and failed tasks."""
        script = self._scripts.sweep
        limits = self.limits
        return script.command(
            self.keys,
            result_ttl_ms=limits.result_ttl_ms,
            max_results=limits.max_results,
            limit=limit,
            **self._burials,
        )


def _tokens(leases: Iterable[Lease]) -> list[bytes | str | int]:
    return [part for lease in leases for part in (lease.uid, lease.token)]
