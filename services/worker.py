"""The door to the workers: what an application imports."""

from singleton_service.background.worker import WorkerInfo, WorkerService

__all__ = ["WorkerInfo", "WorkerService"]
