"""A service container: services that start on first use, in order, once, and stop in reverse.

Derive from `BaseService`, declare what a service `requires`, put `guarded` on its class methods,
and call them. Standard library only; importing it starts nothing.
"""

from ._guarded import guarded
from ._lifecycle import running, start, stop
from ._requires import requires
from ._runnable import BaseRunnable
from ._service import BaseService

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._circuit import CircuitBreaker, CircuitState
    from ._graph import Graph, graph
    from ._health import health, health_async
    from ._states import ServiceState

__all__ = [
    "BaseRunnable",
    "BaseService",
    "CircuitBreaker",
    "CircuitState",
    "Graph",
    "ServiceState",
    "graph",
    "guarded",
    "health",
    "health_async",
    "requires",
    "running",
    "start",
    "stop",
]

_LATER = {
    "CircuitBreaker": "_circuit",
    "CircuitState": "_circuit",
    "Graph": "_graph",
    "ServiceState": "_states",
    "graph": "_graph",
    "health": "_health",
    "health_async": "_health",
}


def __getattr__(name: str) -> object:
    """Load what looks at services when it is asked for: and what few programs need: it is heavier than the rest."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - see above

    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value
