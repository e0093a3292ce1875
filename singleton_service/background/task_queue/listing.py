"""Listing tasks a page at a time, by SCAN: a task that is there throughout is returned at least once.

Order is the server's own. A page may hold fewer tasks than asked for and still have a cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .codec import STATUS_WIDTH, decode_task
from .records import Task, TaskPage, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .client import QueueClient

MAX_LIMIT = 1000
_MAX_READ = 1000

# Where tasks of a status are to be found: the smallest key that names them all.
_SOURCES: dict[TaskStatus | None, tuple[str, ...]] = {
    None: ("body", "results"),
    TaskStatus.PENDING: ("body",),
    TaskStatus.RUNNING: ("running",),
    TaskStatus.RETRYING: ("attempts",),
    TaskStatus.FAILED: ("dead",),
    TaskStatus.COMPLETED: ("results",),
    TaskStatus.CANCELLED: ("results",),
    # Swept or not: until then the body is there.
    TaskStatus.EXPIRED: ("results", "expiry"),
}
_SORTED_SETS = frozenset({"dead", "expiry"})


class Wanted(NamedTuple):
    """Which tasks to list; None means any."""

    status: TaskStatus | None
    name: str | None

    def fits(self, task: Task) -> bool:
        """Whether a task is one of them."""
        return (self.status is None or task.status is self.status) and (self.name is None or task.name == self.name)


class _Place(NamedTuple):
    """Where a listing stands: queue, source, SCAN's own cursor, and the last uid given out of its current answer."""

    queue: int
    source: int
    scan: int
    last_uid: str

    def __str__(self) -> str:
        return f"{self.queue}:{self.source}:{self.scan}:{self.last_uid}"

    @classmethod
    def parse(cls, cursor: str | None) -> _Place:
        if cursor is None:
            return cls(0, 0, 0, "")
        try:
            queue, source, scan, last_uid = cursor.split(":", 3)
            return cls(int(queue), int(source), int(scan), last_uid)
        except (ValueError, AttributeError):
            raise ValueError(
                f"cursor {cursor!r} is none: pass the `cursor` of the page before, with the same status and queue"
            ) from None


def list_tasks(client: QueueClient, queues: Sequence[str], wanted: Wanted, limit: int, cursor: str | None) -> TaskPage:
    """Return the next page; reads at most about a thousand tasks.

    Raises:
        ValueError: limit or cursor can't be used.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit {limit!r} is out of range: 1 to {MAX_LIMIT}")
    place = _Place.parse(cursor)
    sources = _SOURCES[wanted.status]
    found: list[Task] = []
    budget = _MAX_READ
    while place.queue < len(queues) and budget > 0:
        queue = queues[place.queue]
        next_scan, uids = _scan(client, queue, sources[place.source], place.scan, limit)
        # SCAN may answer with more than was asked for: what does not fit is read again, from the same cursor.
        rest = [uid for uid in uids if uid > place.last_uid]
        for n, task in enumerate(_read(client, queue, rest)):
            if task is None or not wanted.fits(task):
                continue
            if len(found) == limit:
                return TaskPage(found, str(place._replace(last_uid=rest[n - 1] if n else place.last_uid)))
            found.append(task)
        budget -= max(1, len(rest))
        place = _after(place, next_scan, len(sources))
        if len(found) == limit:
            break
    return TaskPage(found, str(place) if place.queue < len(queues) else None)


def _after(place: _Place, next_scan: int, sources: int) -> _Place:
    if next_scan:
        return _Place(place.queue, place.source, next_scan, "")
    if place.source + 1 < sources:
        return _Place(place.queue, place.source + 1, 0, "")
    return _Place(place.queue + 1, 0, 0, "")


def _scan(client: QueueClient, queue: str, source: str, scan: int, count: int) -> tuple[int, list[str]]:
    key = client.protocol(queue).keys.key(source)
    verb = b"ZSCAN" if source in _SORTED_SETS else b"HSCAN"
    ((next_scan, flat),) = client.read([(verb, key, scan, b"COUNT", count)])
    return int(next_scan), sorted({uid.decode() for uid in flat[::2]})


def _read(client: QueueClient, queue: str, uids: Sequence[str]) -> list[Task | None]:
    tasks: list[Task | None] = []
    protocol = client.protocol(queue)
    for first in range(0, len(uids), _MAX_READ):
        part = uids[first : first + _MAX_READ]
        (reply,) = client.read([protocol.status(part)])
        tasks += [
            decode_task(queue, uid, reply[STATUS_WIDTH * n : STATUS_WIDTH * (n + 1)]) for n, uid in enumerate(part)
        ]
    return tasks
