"""Listing tasks a page at a time, by SCAN: a task that is there throughout is returned at least once.

Order is the server's own. A page may hold fewer tasks than asked for and still have a cursor.
"""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING, NamedTuple

from . import checks
from .codec import STATUS_WIDTH, decode_task
from .ids import is_queue, is_uid
from .records import Task, TaskPage, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .client import QueueClient

MAX_LIMIT = 1000
_MOST_LOOKED_AT = 1000
_SCAN = re.compile(r"([0-9a-z]{1,9}/)?[0-9]{1,20}|end")

# Where tasks of a status are to be found: the smallest key that names them all. Of two, that which tasks leave for the
# other comes first, so that none slips by.
_SOURCES: dict[TaskStatus | None, tuple[str, ...]] = {
    None: ("body", "results"),
    TaskStatus.PENDING: ("body",),
    TaskStatus.RUNNING: ("running",),
    TaskStatus.RETRYING: ("attempts",),
    TaskStatus.FAILED: ("dead",),
    TaskStatus.COMPLETED: ("results",),
    TaskStatus.CANCELLED: ("results",),
    # Swept or not: until then the body is there.
    TaskStatus.EXPIRED: ("expiry", "results"),
}


class Wanted(NamedTuple):
    """Which tasks to list; None means any."""

    status: TaskStatus | None = None
    name: str | None = None
    tag: str | None = None


def wanted_tasks(status: object, name: object, tag: object) -> Wanted:
    """Return what a caller wants to be listed.

    Raises:
        ValueError, TypeError: one of them can't be.
    """
    known: TaskStatus | None = None
    if status is not None:
        known = next((each for each in TaskStatus if each == status), None)
        if known is None:
            raise ValueError(f"status {status!r} is unknown: it is one of {', '.join(TaskStatus)}")
    return Wanted(
        known,
        None if name is None else checks.check_name(name),
        None if tag is None else checks.check_key("tag", tag),
    )


class _Place(NamedTuple):
    """Where a listing stands: the queue, by name, for new ones may come; which source; and as browse.lua has it."""

    queue: str
    source: int = 0
    scan: str = "0"
    after: str = ""
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.queue}:{self.source}:{self.scan}:{self.after}:{','.join(self.left)}"

    @classmethod
    def parse(cls, cursor: str, sources: int) -> _Place:
        try:
            queue, source, scan, after, left = cursor.split(":")
            place = cls(queue, int(source), scan, after, tuple(left.split(",")) if left else ())
            if place.source < sources and is_queue(queue) and _SCAN.fullmatch(scan) and all(map(is_uid, place.left)):
                return place
        except (ValueError, AttributeError):
            pass
        raise ValueError(
            f"cursor {cursor!r} is none: pass the `cursor` of the page before, with the same status and queue"
        )


def list_tasks(client: QueueClient, queues: Sequence[str], wanted: Wanted, limit: int, cursor: str | None) -> TaskPage:
    """Return the next page; looks at no more than a thousand tasks, at each of them once.

    Args:
        client: where to ask.
        queues: sorted by name.
        wanted: which tasks.
        limit: how many at most.
        cursor: of the page before.

    Raises:
        ValueError: limit or cursor can't be used.
    """
    check_limit(limit)
    sources = _SOURCES[wanted.status]
    place = _queue_from(queues, "") if cursor is None else _Place.parse(cursor, len(sources))
    if place is not None and place.queue not in queues:
        place = _queue_from(queues, place.queue)
    found: list[Task] = []
    budget = _MOST_LOOKED_AT
    while place is not None and budget > 0 and len(found) < limit:
        looked, tasks, further = _browse(client, place, sources, wanted, budget, limit - len(found))
        found += tasks
        budget -= max(1, looked)
        if further is not None:
            # There is more where this came from, so the page is full: of tasks, or of bytes.
            return TaskPage(found, str(further))
        if place.source + 1 < len(sources):
            place = _Place(place.queue, place.source + 1)
        else:
            place = _queue_from(queues, place.queue + "\0")
    return TaskPage(found, None if place is None else str(place))


def check_limit(limit: object) -> None:
    """See that so many tasks may be asked for at once.

    Raises:
        ValueError: they may not.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit {limit!r} is out of range: 1 to {MAX_LIMIT}")


def latest_failed(client: QueueClient, queues: Sequence[str], limit: int) -> list[Task]:
    """Return the tasks of each queue that failed last, at most *limit* of each."""
    latest = client.read([(b"ZRANGE", client.protocol(name).keys.key("dead"), 0, limit - 1, b"REV") for name in queues])
    places = [(name, uid.decode()) for name, uids in zip(queues, latest, strict=True) for uid in uids]
    replies = client.read([client.protocol(name).status([uid]) for name, uid in places])
    found = [decode_task(name, uid, reply) for (name, uid), reply in zip(places, replies, strict=True)]
    # One that was retried or forgotten meanwhile has not failed.
    return [task for task in found if task is not None and task.status is TaskStatus.FAILED]


def _queue_from(queues: Sequence[str], name: str) -> _Place | None:
    """Return the beginning of the first queue that does not sort before *name*."""
    n = bisect.bisect_left(queues, name)
    return _Place(queues[n]) if n < len(queues) else None


def _browse(  # noqa: PLR0913 - what one call takes
    client: QueueClient, place: _Place, sources: Sequence[str], wanted: Wanted, most: int, limit: int
) -> tuple[int, list[Task], _Place | None]:
    """Return how many tasks were looked at, those that are wanted, and where to go on in this source."""
    protocol = client.protocol(place.queue)
    command = protocol.browse(
        place.left,
        source=sources[place.source],
        scan=place.scan,
        after=place.after,
        most=most,
        limit=limit,
        status=wanted.status or "",
        name=wanted.name or "",
        tag=wanted.tag or "",
    )
    ((looked, scan, after, left, flat),) = client.read([command])
    tasks = []
    for n in range(0, len(flat), STATUS_WIDTH + 1):
        task = decode_task(place.queue, flat[n].decode(), flat[n + 1 : n + 1 + STATUS_WIDTH])
        if task is not None:
            tasks.append(task)
    if scan == b"end" and not left:
        return looked, tasks, None
    left_uids = tuple(uid.decode() for uid in left)
    return looked, tasks, place._replace(scan=scan.decode(), after=after.decode(), left=left_uids)
