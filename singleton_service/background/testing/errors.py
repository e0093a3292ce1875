"""What a drain has to say beside the errors of handlers."""

from __future__ import annotations

from singleton_service.background.task_queue.errors import TaskQueueError


class TaskHeldError(TaskQueueError):
    """A task could not be given to its handler, and a worker would set it aside.

    Attributes:
        task_id: the task.
        name: its name.
        reason: why: nobody knows its handler, or a service that the handler requires is not there.
    """

    def __init__(self, task_id: str, name: str, reason: str) -> None:
        super().__init__(task_id, name, reason)
        self.task_id = task_id
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"task {self.name!r} ({self.task_id}) was not run: {self.reason}. A worker would hold it until that has "
            "changed: import the module that defines its handler; give services that it requires a stand-in"
        )
