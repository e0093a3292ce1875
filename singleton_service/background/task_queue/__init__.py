"""The task queue: TaskQueueService, what tasks are, and how a function becomes one."""

from .decorator import task
from .discovery import discover
from .errors import (
    DiscoveryError,
    DurabilityError,
    DurabilityUnavailableError,
    EnqueueError,
    NotAcceptingError,
    ProcessDiedError,
    ProtocolVersionError,
    QueueFullError,
    QueueUnavailableError,
    TaskCancelledError,
    TaskExpiredError,
    TaskFailedError,
    TaskInterrupted,
    TaskNotFoundError,
    TaskQueueError,
    TaskTimeoutError,
)
from .handle import TaskHandle
from .outcomes import PermanentError, Retry, TaskResult
from .records import Progress, Task, TaskError, TaskPage, TaskPriority, TaskRequest, TaskStatus
from .running_task import CurrentTask, TaskLogFilter, current_batch, current_task
from .service import TaskQueueService
from .task_handler import TaskHandler

__all__ = [
    "CurrentTask",
    "DiscoveryError",
    "DurabilityError",
    "DurabilityUnavailableError",
    "EnqueueError",
    "NotAcceptingError",
    "PermanentError",
    "ProcessDiedError",
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
    "TaskHandler",
    "TaskInterrupted",
    "TaskLogFilter",
    "TaskNotFoundError",
    "TaskPage",
    "TaskPriority",
    "TaskQueueError",
    "TaskQueueService",
    "TaskRequest",
    "TaskResult",
    "TaskStatus",
    "TaskTimeoutError",
    "current_batch",
    "current_task",
    "discover",
    "task",
]
