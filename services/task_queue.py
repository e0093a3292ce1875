"""The door to the task queue: what an application imports."""

from singleton_service.background.task_queue import (
    EnqueueError,
    ProtocolVersionError,
    QueueUnavailableError,
    Task,
    TaskError,
    TaskFailedError,
    TaskHandle,
    TaskNotFoundError,
    TaskPage,
    TaskPriority,
    TaskQueueError,
    TaskQueueService,
    TaskRequest,
    TaskStatus,
    task,
)

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
