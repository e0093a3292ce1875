"""The worker: threads that take tasks from the queue and do them."""

from .roster import WorkerInfo
from .service import WorkerService

__all__ = ["WorkerInfo", "WorkerService"]
