"""The door to tests of tasks: what the fixture `task_queue` gives, by name."""

from singleton_service.background.testing import Attempt, Clock, TaskHeldError, TaskQueueBench

__all__ = ["Attempt", "Clock", "TaskHeldError", "TaskQueueBench"]
