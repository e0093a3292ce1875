"""What a task is to those who look at it: frozen records and their states."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from .lease import Lease


class TaskStatus(StrEnum):
    """Where a task is in its life: pending, running and retrying ones have not ended."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether the task has ended for good (a failed one can still be retried by hand)."""
        return self not in {TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.RETRYING}


class TaskPriority(IntEnum):
    """Order within a queue, strict: a HIGH task is taken before every NORMAL one."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class TaskError:
    """One failed attempt. `when` is aware UTC; of the message 8,192 characters are kept, of the traceback 16,384."""

    when: datetime
    type: str
    message: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task has come: `percent` from 0 to 100, what its handler said, and when, aware UTC."""

    percent: float
    message: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """One task as it stood when it was read. Datetimes are aware UTC.

    Attributes:
        id: `<queue>.<uid>`; enough to find the task from any process.
        started_at: when the last attempt was handed to a worker.
        completed_at: when it completed, or failed for good.
        error_message: what the last failed attempt said; None once completed.
        retry_count: retries so far; attempts are one more.
        eta: when a delayed or retrying task is due.
        held_reason: why it is set aside for now, if it is.
        progress: what its last attempt reported; None when nothing was, and once it has ended.
        errors: failed attempts, oldest first: of more than ten the first three and the last seven.
        errors_left_out: how many failed attempts are not among them.
        expires_at: when it is not wanted any more, if it was given an `expires_in` and has not been started.
        timeout: how long an attempt may take, seconds, where its enqueue or its definition said so.
        tags: what the caller marked it with.
        unique_key: the key that no other unfinished task of the queue has.
        limit_key: the key it takes turns by, and whose limits it keeps to.
        schedule_id: the schedule that made it; `scheduled_for` is the instant it stands for.
    """

    id: str
    name: str
    payload: dict[str, Any]
    status: TaskStatus
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = None
    retry_count: int = 0
    max_retries: int = 3
    queue: str = "default"
    priority: TaskPriority = TaskPriority.NORMAL
    result: Any = None
    progress: Progress | None = None
    worker_id: str | None = None
    eta: datetime | None = None
    held_reason: str | None = None
    errors: tuple[TaskError, ...] = ()
    errors_left_out: int = 0
    expires_at: datetime | None = None
    timeout: float | None = None
    tags: tuple[str, ...] = ()
    unique_key: str | None = None
    limit_key: str | None = None
    schedule_id: str | None = None
    scheduled_for: datetime | None = None
    # The fence: only a Task that get_next_task handed out can finish it.
    _lease: Lease | None = field(default=None, repr=False, compare=False)


class TaskRequest(NamedTuple):
    """One task for `enqueue_many`, with the arguments of `enqueue_task` by the same names."""

    # No dataclass: a frozen one takes as long to make as to check and to encode.

    name: str
    payload: Mapping[str, Any] | None = None
    delay_seconds: float = 0
    max_retries: int | None = None
    queue: str | None = None
    priority: TaskPriority | None = None
    eta: datetime | None = None
    expires_in: float | None = None
    timeout: float | None = None
    unique_key: str | None = None
    unique: str = "drop"
    limit_key: str | None = None
    task_id: str | None = None
    tags: Sequence[str] = ()
    result_ttl: float | None = None
    durability: str | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks, and where to go on (None: that was all).

    A page may be short, even empty, and still have a cursor: go on until there is none.
    """

    tasks: list[Task]
    cursor: str | None
