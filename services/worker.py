"""The door to the workers: what an application imports."""

from singleton_service.background.worker import (
    HealthProbeError,
    LoopResource,
    TaskEnd,
    WorkerInfo,
    WorkerResource,
    WorkerService,
    after_task,
    before_task,
    on_task_failure,
    on_worker_start,
    on_worker_stop,
    task_scope,
)

__all__ = [
    "HealthProbeError",
    "LoopResource",
    "TaskEnd",
    "WorkerInfo",
    "WorkerResource",
    "WorkerService",
    "after_task",
    "before_task",
    "on_task_failure",
    "on_worker_start",
    "on_worker_stop",
    "task_scope",
]
