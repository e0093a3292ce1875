"""What a handler can know of the task that it does."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .codec import leased_task
from .current import running_batch, running_lease
from .service import TaskQueueService

if TYPE_CHECKING:
    from .lease import Lease
    from .records import Task


def current_task() -> CurrentTask | None:
    """Return the task whose handler the calling code belongs to; None outside of handlers and in those of batches.

    Coroutines of a handler know it, and threads that run in its context, as those of `asyncio.to_thread` do. In a loop
    of one's own with `get_next_task()` there is none: the task is at hand there.
    """
    lease = running_lease.get()
    return None if lease is None else CurrentTask(leased_task(lease), lease.fence, lease)


def current_batch() -> tuple[CurrentTask, ...]:
    """Return the tasks of a handler that takes a batch, in the order of its payloads; none outside of such handlers.

    It is known where `current_task()` would be.
    """
    return tuple(CurrentTask(leased_task(lease), lease.fence, lease) for lease in running_batch.get())


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The task that a handler does now, at this attempt.

    Attributes:
        task: the task as it was handed out: payload, tags, times.
        fence: rises with every time that a task of the queue is handed out. Whoever writes elsewhere can send it along,
            and refuse a number lower than the last: then an attempt that was taken for dead changes nothing there.
    """

    task: Task
    fence: int
    _lease: Lease = field(repr=False)

    @property
    def id(self) -> str:
        """The task's id, the same at each attempt: good for files, and as key for calls that must count once."""
        return self.task.id

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def attempt(self) -> int:
        """Which attempt it is, 1 for the first."""
        return self.task.retry_count + 1

    @property
    def is_last_attempt(self) -> bool:
        """Whether the task has failed for good if this attempt fails."""
        return self.task.retry_count >= self.task.max_retries

    @property
    def scheduled_for(self) -> datetime | None:
        """The instant for which a schedule made it, aware UTC; None when it was enqueued otherwise."""
        return self.task.scheduled_for

    @property
    def deadline(self) -> datetime | None:
        """When the time limit of this attempt is over, aware UTC; None without a limit."""
        ends_at = self._lease.ends_at
        return None if ends_at is None else datetime.fromtimestamp(ends_at, UTC)

    @property
    def is_cancelled(self) -> bool:
        """Whether this attempt was told to end, because its time is over or the task was cancelled.

        For code that catches what interrupts it, and for threads of its own that a handler waits for.
        """
        return self._lease.is_cancelled

    def progress(self, percent: float, message: str = "") -> bool:
        """Say how far it has come, as `TaskQueueService.update_progress` does; from any thread.

        Raises:
            ValueError, TypeError: the percentage is none, or the message no string.
        """
        return TaskQueueService.update_progress(percent, message, self.task)


class TaskLogFilter(logging.Filter):
    """Gives each log record the `task_id` and `task_attempt` of the task whose handler logs; "-" outside of handlers.

    It belongs on a logging handler, so that records of all loggers pass it:
    `handler.addFilter(TaskLogFilter())`, with `%(task_id)s` in the format.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mark the record; let it pass."""
        lease = running_lease.get()
        record.task_id = "-" if lease is None else lease.id
        record.task_attempt = "-" if lease is None else lease.retry_count + 1
        return True
