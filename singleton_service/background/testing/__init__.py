"""For tests of applications: a task queue of each test's own, run by hand, with a clock to move.

With pytest it is the fixture ``task_queue``, a `TaskQueueBench`.
"""

from .bench import TaskQueueBench
from .clock import Clock
from .errors import TaskHeldError
from .hands import Attempt

__all__ = ["Attempt", "Clock", "TaskHeldError", "TaskQueueBench"]
