"""The task queue: TaskQueueService, what tasks are, and how a function becomes one."""

from .errors import (
    EnqueueError,
    ProtocolVersionError,
    QueueUnavailableError,
    TaskFailedError,
    TaskNotFoundError,
    TaskQueueError,
)
from .handle import TaskHandle
from .service import TaskQueueService
from .task import Task, TaskError, TaskPage, TaskPriority, TaskRequest, TaskStatus
from .tasks import task

# isort: split
# After the module of the same name: whoever binds `task` last is what type checkers see.

__all__ = [
    "EnqueueError",
    "ProtocolVersionError",
    "QueueUnavailableError",
    "Task",
    "TaskError",
    "TaskFailedError",
    "TaskHandle",
    "TaskNotFoundError",
    "TaskPage",
    "TaskPriority",
    "TaskQueueError",
    "TaskQueueService",
    "TaskRequest",
    "TaskStatus",
    "task",
]
