"""Who takes from the queues, as the server knows it: what heartbeats and fetches leave there is enough."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from singleton_service.background.task_queue.worker_ids import read_worker_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.link import Command

# How a worker's set of leases marks a task that has begun; others lie in its process, ready to begin.
_BEGUN = b"1"


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One process that takes tasks. Times are aware UTC.

    Attributes:
        id: what `Task.worker_id` says; new with each start.
        host: the machine's name; characters that a key can't have are `-`.
        pid: the process's number there.
        started_at: when its services started, by its own clock; None for one of an older version.
        last_heartbeat: when it last gave a sign of life, by the server's clock; a lease after it, it is given up.
        queues: where it takes from, sorted.
        tasks_running: how many handlers run there now.
        tasks_held: how many tasks it has fetched, those that run included.
    """

    id: str
    host: str
    pid: int
    started_at: datetime | None
    last_heartbeat: datetime
    queues: tuple[str, ...]
    tasks_running: int
    tasks_held: int


def roster(client: QueueClient) -> list[WorkerInfo]:
    """Read who is alive, in all queues, sorted by host and pid."""
    ends_ms = _lease_ends(client)
    seats = [(worker, queue) for worker, at in ends_ms.items() for queue in at]
    owned = [(b"HVALS", client.protocol(queue).keys.key(f"owned:{worker}")) for worker, queue in seats]
    marks: dict[str, list[bytes]] = {}
    for (worker, _), found in zip(seats, client.read(owned) if owned else (), strict=True):
        marks.setdefault(worker, []).extend(found)
    infos = [_info(worker, at, marks[worker], client.limits.lease_ms) for worker, at in ends_ms.items()]
    return sorted(infos, key=lambda info: (info.host, info.pid, info.id))


def _lease_ends(client: QueueClient) -> dict[str, dict[str, int]]:
    """Return until when the server trusts each worker in each queue, ms, of those that it trusts still."""
    queues = client.queues()
    look: list[Command] = [(b"TIME",)]
    look += [(b"ZRANGE", client.protocol(queue).keys.key("workers"), 0, -1, b"WITHSCORES") for queue in queues]
    (seconds, micros), *found = client.read(look)
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    ends_ms: dict[str, dict[str, int]] = {}
    for queue, reply in zip(queues, found, strict=True):
        for worker, score in _pairs(reply):
            if score >= now_ms:
                ends_ms.setdefault(worker, {})[queue] = score
    return ends_ms


def _pairs(reply: Sequence[bytes]) -> Iterable[tuple[str, int]]:
    return ((reply[n].decode(), int(float(reply[n + 1]))) for n in range(0, len(reply), 2))


def _info(worker: str, ends_ms: dict[str, int], marks: Sequence[bytes], lease_ms: int) -> WorkerInfo:
    host, pid, started_at = read_worker_id(worker)
    return WorkerInfo(
        id=worker,
        host=host,
        pid=pid,
        started_at=started_at,
        # All processes of one project are meant to have the same settings.
        last_heartbeat=_utc(max(ends_ms.values()) - lease_ms),
        queues=tuple(sorted(ends_ms)),
        tasks_running=marks.count(_BEGUN),
        tasks_held=len(marks),
    )


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
