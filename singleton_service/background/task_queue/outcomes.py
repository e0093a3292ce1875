"""What a handler may raise or return to say how it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .checks import check_delay
from .errors import TaskQueueError


class PermanentError(TaskQueueError):
    """Raised by a handler that knows that trying again is of no use: the task fails for good at once.

    Derive from it for errors of your own that are always so.
    """


class Retry(TaskQueueError):  # noqa: N818 - a wish more than an error: `raise Retry(delay_seconds=60)`
    """Raised by a handler that wants to be tried again. It counts as a retry: after the last, the task has failed.

    Attributes:
        delay_seconds: how long to wait; None for as long as the task's policy says.
        reason: kept as the attempt's error.

    Raises:
        ValueError, TypeError: the delay can't be one.
    """

    def __init__(self, delay_seconds: float | None = None, reason: str = "the handler asked for it") -> None:
        super().__init__(delay_seconds, reason)
        self.delay_seconds = None if delay_seconds is None else check_delay("delay_seconds", delay_seconds)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a handler may return to say how it went; what else it returns is the result of a task that completed.

    Attributes:
        success: whether the task is done; then its result is `result`.
        error: what went wrong; a failure has one, a success none.
        error_type: a word for the kind of error, shown as `TaskError.type`.
        retryable: whether trying again is of use; then the task's policy says when.

    Raises:
        ValueError: a failure without an error, or a success with one.
    """

    success: bool
    result: Any = None
    error: str | None = None
    error_type: str | None = None
    retryable: bool = True

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.success and self.error is not None:
            raise ValueError(f"TaskResult(success=True, error={self.error!r}) contradicts itself: leave one out")
        if not self.success and not self.error:
            raise ValueError("TaskResult(success=False) needs an error: say what went wrong, error='no such address'")
