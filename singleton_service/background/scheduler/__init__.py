"""The scheduler: tasks enqueued again and again, each instant once however many processes schedule it."""

from .service import SchedulerService

__all__ = ["SchedulerService"]
