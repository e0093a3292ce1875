"""A service container: services that start on first use, in order, once, and stop in reverse.

Derive from `BaseService`, declare what a service `requires`, put `guarded` on its class methods,
and call them. Standard library only; importing it starts nothing.
"""

from ._guarded import guarded
from ._lifecycle import running, start, stop
from ._requires import requires
from ._service import BaseService

__all__ = ["BaseService", "guarded", "requires", "running", "start", "stop"]
