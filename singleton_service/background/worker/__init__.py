"""The worker: threads that take tasks from the queue and do them."""

from .health import HealthProbeError
from .hooks import TaskEnd, after_task, before_task, on_task_failure, on_worker_start, on_worker_stop
from .loop_resources import LoopResource
from .roster import WorkerInfo
from .scopes import task_scope
from .service import WorkerService
from .thread_resources import WorkerResource

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
