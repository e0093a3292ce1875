"""What to start, and in what order: the graph questions of `_order`, asked about services."""

from __future__ import annotations

from ._operations import state
from ._order import CycleFound, find_path, start_order
from ._requires import dependencies_of, is_service
from .exceptions import CircularDependencyError, SelfDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ._service import BaseService

    Service = type[BaseService]

__all__ = ["full_order", "needs", "plan", "stand_in", "way_to"]


def needs(service: Service) -> tuple[Service, ...]:
    """Return what *service* requires, with overrides in place of what they stand for."""
    if not state.overrides:
        return dependencies_of(service)
    return tuple(needed for needed in map(stand_in, dependencies_of(service)) if needed is not None)


def stand_in(service: Service) -> Service | None:
    """Return what starts when *service* is wanted: itself, its override, or nothing for a mere object."""
    if service not in state.overrides:
        return service
    fake: object = state.overrides[service]
    return fake if is_service(fake) else None


def plan(roots: Iterable[Service]) -> list[Service]:
    """Return what is not started yet of *roots* and all they need, in start order.

    Raises:
        CircularDependencyError: Some of them require each other.
        SelfDependencyError: One of them requires itself.
    """
    try:
        return start_order(roots, needs, is_done=_is_up)
    except CycleFound as found:
        raise _cycle_error(found) from None


def _cycle_error(found: CycleFound) -> CircularDependencyError | SelfDependencyError:
    path: Any = found.path
    return SelfDependencyError(path[0]) if len(path) == 2 else CircularDependencyError(path)


def _is_up(service: Service) -> bool:
    return service._initialized


def full_order(services: Iterable[Service]) -> list[Service]:
    """Return *services* and all they require, started or not, in start order.

    Raises:
        CircularDependencyError: Some of them require each other.
        SelfDependencyError: One of them requires itself.
    """
    roots = [service for service in map(stand_in, services) if service is not None]
    try:
        return start_order(roots, needs)
    except CycleFound as found:
        raise _cycle_error(found) from None


def way_to(roots: Sequence[Service], service: Service) -> tuple[Service, ...]:
    """Return how one of *roots* came to need *service*: both, and what is between."""
    for root in roots:
        path = find_path(root, service, needs)
        if path is not None:
            return path
    return (service,)
