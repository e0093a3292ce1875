"""What a task that was waited for came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import TaskCancelledError, TaskExpiredError, TaskFailedError, TaskNotFoundError
from .records import TaskStatus

if TYPE_CHECKING:
    from .records import Task


def has_ended(task: Task | None) -> bool:
    """Whether there is nothing more to wait for."""
    return task is None or task.status.is_final


def result_of(task_id: str, task: Task | None) -> Any:
    """Return what an ended task returned.

    Raises:
        TaskNotFoundError, TaskFailedError, TaskCancelledError, TaskExpiredError: it has no result.
    """
    if task is None:
        raise TaskNotFoundError(task_id)
    if task.status is TaskStatus.FAILED:
        raise TaskFailedError(task_id, task.error_message or "no message")
    if task.status is TaskStatus.CANCELLED:
        raise TaskCancelledError(task_id)
    if task.status is TaskStatus.EXPIRED:
        raise TaskExpiredError(task_id)
    return task.result


def not_ended(task: Task | None, task_id: str, timeout: float | None) -> TimeoutError:
    """Return the error that says where the task is instead."""
    where = task.status.value if task else "unknown"
    why = f" ({task.held_reason})" if task and task.held_reason else ""
    return TimeoutError(f"task {task_id!r} is {where}, not finished after {timeout} seconds{why}")
