"""The states a service can be in, as `health` and `graph` show them."""

from __future__ import annotations

from enum import StrEnum

from ._operations import lock, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._operations import Record
    from ._service import BaseService

__all__ = ["ServiceState", "look_at"]


class ServiceState(StrEnum):
    """Where a service is in its life. Plain strings, so that they go into JSON as they are."""

    NOT_STARTED = "not started"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"


def look_at(service: type[BaseService]) -> tuple[ServiceState, Record | None]:
    """Return the state of *service* now, and what is remembered of its start."""
    with lock:
        operation = state.running.get(service)
        if operation is not None:
            return (ServiceState.STARTING if operation.phase.is_starting else ServiceState.STOPPING), None
        if service._initialized:
            return ServiceState.STARTED, state.started.get(service)
        return ServiceState.NOT_STARTED, None
