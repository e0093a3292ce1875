"""Several processes that are started, watched, replaced and ended by one: their parent.

The parent imports nothing of the user's, and its children are fresh interpreters. What they say to each other goes over
a line of their own, whose end tells a child that its parent is dead.
"""

from .program import Limits, Program
from .supervised import Supervised
from .supervisor import Supervisor

__all__ = ["Limits", "Program", "Supervised", "Supervisor"]
