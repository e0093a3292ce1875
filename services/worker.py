"""The door to the workers: what an application imports."""

from singleton_service.background.worker import WorkerService

__all__ = ["WorkerService"]
