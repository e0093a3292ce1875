"""The door to the scheduler: what an application imports."""

from singleton_service.background.expressions import ExpressionError
from singleton_service.background.scheduler import SchedulerService

__all__ = ["ExpressionError", "SchedulerService"]
