"""The worker: threads that take tasks from the queue and do them."""

from .service import WorkerService

__all__ = ["WorkerService"]
