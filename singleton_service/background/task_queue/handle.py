"""A task to hold on to: works in any process, knows nothing but the id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .service import TaskQueueService
from .updates import Updates

if TYPE_CHECKING:
    from .records import Progress, TaskStatus


@dataclass(frozen=True, slots=True)
class TaskHandle:
    """One task, by its id. Each property asks the server anew."""

    id: str

    @property
    def status(self) -> TaskStatus | None:
        """Where the task is; None when nobody knows it (any more)."""
        task = TaskQueueService.get_task_status(self.id)
        return task.status if task else None

    @property
    def progress(self) -> Progress | None:
        """What it last reported, as `TaskQueueService.get_progress` says it."""
        return TaskQueueService.get_progress(self.id)

    @property
    def result(self) -> Any:
        """What the task returned.

        Raises:
            TimeoutError: it has not finished.
            TaskFailedError: it failed for good.
            TaskCancelledError: it was cancelled.
            TaskExpiredError: its `expires_in` was over before it started.
            TaskNotFoundError: nobody knows it.
        """
        return self.get(timeout=0)

    def cancel(self) -> bool:
        """Cancel it, as `TaskQueueService.cancel_task` does."""
        return TaskQueueService.cancel_task(self.id)

    def updates(self, timeout: float | None = None) -> Updates:
        """Follow it to its end, for up to *timeout* seconds: `for task in handle.updates()`, or `async for`.

        Yields the `Task` as it stands now, again each time it has reported progress, and last as it ended; see
        `Updates`.

        Raises:
            ValueError, TypeError: the timeout can't be one.
        """
        return Updates(self.id, timeout)

    async def aget(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as its twin
        """Wait as `get` does, without holding up the event loop."""
        return await TaskQueueService.aget_result(self.id, timeout)

    def get(self, timeout: float | None = None) -> Any:
        """Wait up to *timeout* seconds (None: as long as it takes) for the result; raises as `result` does."""
        return TaskQueueService.get_result(self.id, timeout)
