"""The task queue: TaskQueueService, what tasks are, and how a function becomes one."""

from .decorator import task
from .errors import (
    DurabilityError,
    DurabilityUnavailableError,
    EnqueueError,
    NotAcceptingError,
    ProtocolVersionError,
    QueueFullError,
    QueueUnavailableError,
    TaskCancelledError,
    TaskExpiredError,
    TaskFailedError,
    TaskNotFoundError,
    TaskQueueError,
)
from .handle import TaskHandle
from .outcomes import PermanentError, Retry, TaskResult
from .records import Progress, Task, TaskError, TaskPage, TaskPriority, TaskRequest, TaskStatus
from .service import TaskQueueService

__all__ = [
    "DurabilityError",
    "DurabilityUnavailableError",
    "EnqueueError",
    "NotAcceptingError",
    "PermanentError",
    "Progress",
    "ProtocolVersionError",
    "QueueFullError",
    "QueueUnavailableError",
    "Retry",
    "Task",
    "TaskCancelledError",
    "TaskError",
    "TaskExpiredError",
    "TaskFailedError",
    "TaskHandle",
    "TaskNotFoundError",
    "TaskPage",
    "TaskPriority",
    "TaskQueueError",
    "TaskQueueService",
    "TaskRequest",
    "TaskResult",
    "TaskStatus",
    "task",
]
