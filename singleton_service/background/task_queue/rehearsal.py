"""A task for a handler that is called by hand, as a debugger does it: nothing is leased, and nobody hears of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .codec import encode_body, to_json
from .current import running_batch, running_lease
from .ids import split_id
from .lease import Lease
from .progress import Account
from .service import TaskQueueService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .records import Task


@contextmanager
def rehearsed(task: Task, *, in_batch: bool = False) -> Iterator[None]:
    """Have `current_task()`, or `current_batch()`, tell of *task* while the block lasts, as its last attempt saw it.

    What is reported of its progress goes nowhere.

    Raises:
        QueueUnavailableError: the server is not there.
    """
    lease = _lease_on_paper(task)
    lease.account = Account(TaskQueueService._open_reports())
    here = running_batch.set((lease,)) if in_batch else running_lease.set(lease)
    # Whoever would send a report waits for this lock, or goes without.
    with lease.account.lock:
        try:
            yield
        finally:
            if in_batch:
                running_batch.reset(here)  # type: ignore[arg-type] # the token of the one that was set
            else:
                running_lease.reset(here)  # type: ignore[arg-type] # as above


def _lease_on_paper(task: Task) -> Lease:
    parts = split_id(task.id)
    assert parts is not None, "a task that was read has an id"
    body = encode_body(
        task.name,
        to_json(task.payload),
        int(task.priority),
        round(task.created_at.timestamp() * 1000),
        task.max_retries,
        unique_key=task.unique_key,
        limit_key=task.limit_key,
        tags=task.tags,
        schedule_id=task.schedule_id,
        scheduled_for_ms=None if task.scheduled_for is None else round(task.scheduled_for.timestamp() * 1000),
        timeout_ms=None if task.timeout is None else round(task.timeout * 1000),
    )
    # The fence of the last attempt, not a new one: whoever keeps the highest must not refuse the next real attempt.
    fence = round((task.started_at or task.created_at).timestamp() * 1_000_000)
    return Lease(*parts, fence, "", b"", body, task.retry_count, 0)
