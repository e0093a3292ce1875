"""One queue on a real server with a clock that a test moves, and the workers that speak to it: no service between."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias

from singleton_service.background.task_queue.checks import check_limits
from singleton_service.background.task_queue.codec import STATUS_WIDTH, encode_body
from singleton_service.background.task_queue.ids import new_uid
from singleton_service.background.task_queue.link import Link
from singleton_service.background.task_queue.listing import Wanted, list_tasks
from singleton_service.background.task_queue.protocol import Beat, Enqueued, Fetched, Limits, Protocol
from singleton_service.background.task_queue.scripts import load_scripts

from .invariants import Dump, check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singleton_service.background.engine import Engine
    from singleton_service.background.task_queue.lease import Lease
    from singleton_service.background.task_queue.link import Command

Lanes: TypeAlias = "Iterable[tuple[int, Iterable[str]]]"

LIMITS = Limits(
    # Far longer than any test takes: a lease ends when the test moves the clock, never by itself.
    lease_ms=60_000,
    result_ttl_ms=36_000_000,
    max_results=100_000,
    failed_ttl_ms=36_000_000,
    max_failed=100_000,
    unknown_task_ms=100_000,
)
LEASE_OVER_MS = LIMITS.lease_ms + 30_000
NOW = b"0"
ANY = Wanted()


class Station:
    """The queue. Steps are commands of its workers; `check` looks at all of it at once."""

    def __init__(self, engine: Engine, namespace: str, queue: str = "q", limits: Limits = LIMITS) -> None:
        self.engine = engine
        self.namespace = namespace
        self.queue = queue
        self.limits = limits
        self.offset_ms = 0
        self.link = Link(engine, load_scripts())
        self.workers: dict[str, Worker] = {}

    def worker(self, name: str = "w") -> Worker:
        """Return a worker by its name."""
        return self.workers.setdefault(name, Worker(self, name))

    def protocol(self, worker: str) -> Protocol:
        """Return the protocol as it is spoken at this station's time."""
        return Protocol(load_scripts(self.offset_ms), self.namespace, self.queue, worker, self.limits)

    def advance(self, ms: int) -> None:
        """Move the scripts' clock."""
        self.offset_ms += ms
        self.link._scripts = load_scripts(self.offset_ms)

    def limit(self, **changes: int) -> None:
        """Change the limits."""
        self.limits = replace(self.limits, **changes)

    def key(self, name: str, worker: str = "w") -> bytes:
        """Return a key of the queue."""
        return self.protocol(worker).keys.key(name)

    def raw(self, *command: bytes | str | int) -> Any:
        """Send a plain command."""
        return self.link.call(*command)

    def dump(self) -> Dump:
        """Read the whole queue at one moment."""
        return Dump.read(self.link, self.protocol("w").keys, list(self.workers))

    def check(self, *, token_taken: bool = False) -> Dump:
        """Check every invariant, and return what was seen."""
        dump = self.dump()
        check(dump, token_taken=token_taken)
        return dump

    def all_keys(self) -> list[bytes]:
        """Return every key of the queue that the server has, known by name or not."""
        found: list[bytes] = []
        cursor = b"0"
        while True:
            cursor, page = self.raw(b"SCAN", cursor, b"MATCH", f"{self.namespace}:*", b"COUNT", 1000)
            found += page
            if cursor == b"0":
                return sorted(set(found))

    def erase(self) -> None:
        """Take the queue off the server."""
        if keys := self.all_keys():
            self.raw(b"DEL", *keys)

    def close(self) -> None:
        """Close the connection."""
        self.link.close()


class Worker:
    """One process, as the server sees it."""

    def __init__(self, station: Station, name: str) -> None:
        self.station = station
        self.name = name

    @property
    def speak(self) -> Protocol:
        """This worker's protocol, now."""
        return self.station.protocol(self.name)

    def say(self, command: Command) -> Any:
        """Send a command."""
        return self.station.link.run([command])[0]

    def enqueue(self, *uids: str, when: bytes = NOW, priority: int = 1) -> int:
        """Enqueue tasks with these uids."""
        return int(self.say(self.speak.enqueue([(uid, when, body(uid, priority)) for uid in uids]))[0])

    def enqueue_with(
        self,
        uid: str,
        *,
        when: bytes = NOW,
        unique: str | None = None,
        mode: str = "drop",
        limit: str | None = None,
        priority: int = 1,
        expires_ms: int | None = None,
        result_ttl_ms: int | None = None,
    ) -> str:
        """Enqueue one task with a unique key, a limit key, an expiry, and return the uid it goes by."""
        expires = expires_ms is not None
        written = encode_body(
            uid,
            b"{}",
            priority,
            None,
            3,
            unique_key=unique,
            limit_key=limit,
            expires=expires,
            result_ttl_ms=result_ttl_ms,
        )
        expiry = b"" if expires_ms is None else b"%d" % expires_ms
        reply = self.say(self.speak.enqueue([(uid, b"%b;%b;%b" % (when, expiry, mode.encode()), written)]))
        (found,) = self.speak.enqueued(reply, [uid]).uids
        assert found is not None, "refused"
        return found

    def offer(self, *uids: str) -> Enqueued:
        """Enqueue tasks with these uids where there is a limit."""
        return self.speak.enqueued(self.say(self.speak.enqueue([(uid, NOW, body(uid)) for uid in uids])), uids)

    def cancel(self, *uids: str) -> bytes:
        """Cancel tasks."""
        return bytes(self.say(self.speak.cancel(uids)))

    def revive(self, *uids: str) -> list[bytes]:
        """Put failed tasks back."""
        return list(self.say(self.speak.revive(uids)))

    def delete(self, *uids: str) -> bytes:
        """Forget ended tasks."""
        return bytes(self.say(self.speak.delete(uids)))

    def purge(self, limit: int = 1000) -> tuple[int, int]:
        """Cancel a lot of what has not started: how many, whether there may be more."""
        number, more = self.say(self.speak.purge(limit))
        return number, more

    def pause(self, *, paused: bool = True) -> int:
        """Pause the queue, or resume it."""
        return int(self.say(self.speak.pause(paused=paused)))

    def put(self, number: int = 1, *, when: bytes = NOW, priority: int = 1, measure: int | None = None) -> list[str]:
        """Enqueue so many tasks, and return their uids; *measure* is 4 or 8, or 0 for protocol 1."""
        uids = [new_uid(priority) for _ in range(number)]
        if measure is not None:
            uids = [f"{priority + measure:x}{uid[1:]}" for uid in uids]
        assert self.enqueue(*uids, when=when, priority=priority) == number
        return uids

    def fetch(
        self, max_count: int = 10, start_count: int | None = None, *, suspect: bool = True, lanes: Lanes = ()
    ) -> Fetched:
        """Fetch; all that comes is started at once unless told otherwise. Lanes are (room, names)."""
        started = max_count if start_count is None else start_count
        narrow = [(room, "\n".join(names).encode()) for room, names in lanes]
        return self.speak.fetched(self.say(self.speak.fetch(max_count, started, take_suspect=suspect, lanes=narrow)))

    def take(
        self, max_count: int = 10, start_count: int | None = None, *, suspect: bool = True, lanes: Lanes = ()
    ) -> list[Lease]:
        """Fetch, and return the leases."""
        return self.fetch(max_count, start_count, suspect=suspect, lanes=lanes).leases

    def start(self, *leases: Lease) -> int:
        """Say that handlers have begun."""
        return int(self.say(self.speak.start(leases)))

    def report(self, *leases: Lease, percent: bytes = b"50.0", message: bytes = b"half") -> bytes:
        """Say how far tasks have come."""
        return bytes(self.say(self.speak.progress([(lease, percent, message) for lease in leases])))

    def complete(self, *leases: Lease, again: bool = False, result: bytes = b"null") -> bytes:
        """Finish tasks."""
        return bytes(self.say(self.speak.complete([(lease, result) for lease in leases], again=again)))

    def retry(self, *leases: Lease, delay_ms: int = 0, again: bool = False, error: bytes | None = None) -> bytes:
        """Report failed attempts."""
        said = error or failure("again")
        return bytes(self.say(self.speak.retry([(lease, delay_ms, said) for lease in leases], again=again)))

    def bury(self, *leases: Lease, again: bool = False, error: bytes | None = None) -> bytes:
        """Fail tasks for good."""
        said = error or failure("never")
        return bytes(self.say(self.speak.bury([(lease, said) for lease in leases], again=again)))

    def release(self, *leases: Lease) -> bytes:
        """Hand tasks back."""
        return bytes(self.say(self.speak.release(leases)))

    def hold(self, *leases: Lease, reason: str = "nobody knows it", for_ever: bool = False) -> bytes:
        """Set tasks aside."""
        error = b"" if for_ever else failure(reason)
        return bytes(self.say(self.speak.hold([(lease, reason, error) for lease in leases])))

    def beat(self) -> Beat:
        """Renew the leases."""
        return self.speak.beaten(self.say(self.speak.heartbeat()))

    def recover(self, lost: str, *, is_dead: bool = False) -> tuple[int, int, int]:
        """Hand on one page of a lost worker's tasks."""
        error = failure("worker lost 3 times")
        handed_on, buried, left = self.say(self.speak.recover(lost, error, is_dead=is_dead))
        return handed_on, buried, left

    def reconcile(self, *held: Lease) -> int:
        """Hand back what the server counts for this worker beyond these."""
        return int(self.say(self.speak.reconcile(held)))

    def leave(self) -> int:
        """Sign off."""
        return int(self.say(self.speak.leave()))

    def status(self, *uids: str) -> list[list[bytes]]:
        """Return the six values of each task."""
        flat = self.say(self.speak.status(uids))
        return [flat[n : n + STATUS_WIDTH] for n in range(0, len(flat), STATUS_WIDTH)]

    def page(self, limit: int, cursor: str | None, wanted: Wanted = ANY) -> tuple[list[str], str | None]:
        """List a page: uids, and where to go on."""
        reader = SimpleNamespace(
            protocol=lambda _queue: self.speak, read=lambda commands: [self.say(command) for command in commands]
        )
        page = list_tasks(reader, [self.station.queue], wanted, limit, cursor)  # type: ignore[arg-type]
        return [task.id.rpartition(".")[2] for task in page.tasks], page.cursor

    def listed(self, limit: int, wanted: Wanted = ANY) -> list[str]:
        """List everything, page by page."""
        uids, cursor = self.page(limit, None, wanted)
        while cursor is not None:
            more, cursor = self.page(limit, cursor, wanted)
            assert len(more) <= limit
            uids += more
        return uids

    def state(self, uid: str) -> str:
        """Return the state of one task."""
        return self.status(uid)[0][0].decode()

    def await_end(self, *uids: str, wanted: bytes = b"e") -> bytes:
        """Ask to be told of ends, of progress as well ("p"), or no more ("n")."""
        return bytes(self.say(self.speak.await_ends(self.name.rjust(8, "0"), [(uid, wanted) for uid in uids])))

    def limit(self, max_running: int | None = None, rate: int | None = None, per_seconds: float = 1) -> int:
        """Limit the queue."""
        return int(self.say(self.speak.limit(check_limits(max_running, rate, per_seconds))))

    def limit_keys(self, max_running: int | None = None, rate: int | None = None, per_seconds: float = 1) -> None:
        """Limit each key."""
        cursor = b"new"
        while cursor:
            cursor = bytes(self.say(self.speak.limit_keys(check_limits(max_running, rate, per_seconds), cursor)))

    def put_for(
        self, key: str, number: int = 1, *, when: bytes = NOW, priority: int = 1, expires_ms: int | None = None
    ) -> list[str]:
        """Enqueue so many tasks of a limit key, and return their uids."""
        uids = [new_uid(priority) for _ in range(number)]
        for uid in uids:
            assert self.enqueue_with(uid, limit=key, when=when, priority=priority, expires_ms=expires_ms) == uid
        return uids

    def stats(self) -> dict[str, int]:
        """Count."""
        return self.speak.counted(self.say(self.speak.stats()))

    def sweep(self, limit: int = 1000) -> tuple[int, int]:
        """Forget old endings: results, failed tasks."""
        results, failed = self.say(self.speak.sweep(limit))
        return results, failed

    def die_and_be_recovered(self, by: Worker) -> tuple[int, int, int]:
        """Fall silent until the lease is over, and have another worker find it."""
        self.station.advance(LEASE_OVER_MS)
        assert self.name in by.beat().lost_workers
        return by.recover(self.name)


def body(name: str = "job", priority: int = 1) -> bytes:
    """Write a task."""
    return encode_body(name, b"{}", priority, None, 3)


@dataclass(frozen=True)
class Ending:
    """A finished record, taken apart as the scripts wrote it."""

    state: str
    retries: int
    fence: int
    ended_ms: int
    result: bytes
    errors: list[bytes]
    body: bytes

    @classmethod
    def read(cls, record: bytes) -> Ending:
        """Take one apart."""
        head, *lines = record.split(b"\n")
        state, fence, ms, _, result = head.split(b"|", 4)
        retries, _, errors_length = state[1:].partition(b"+")
        # None of the bodies here has a third line.
        errors, written = lines[:-2], b"\n".join(lines[-2:])
        assert int(errors_length or 0) == len(b"\n".join(errors))
        began_us = int(fence, 16)
        return cls(state[:1].decode(), int(retries), began_us, began_us // 1000 + int(ms, 16), result, errors, written)


def failure(message: str) -> bytes:
    """Write an error as one line."""
    return json.dumps({"w": 0, "t": "Error", "m": message, "tb": None}).encode()


def uids(leases: Iterable[Lease]) -> list[str]:
    """Return the uids of leases."""
    return [lease.uid for lease in leases]
