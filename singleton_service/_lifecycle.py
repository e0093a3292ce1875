"""start, stop and running: what drives the hooks when it is not a guarded call."""

from __future__ import annotations

from ._operations import state
from ._plan import full_order
from ._requires import is_service
from ._service import BaseService
from ._starting import ensure_started, ensure_started_async
from ._stopping import stop_async, stop_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    Service = type[BaseService]

__all__ = ["all_services", "check_services", "running", "start", "stop"]

STOP_TIMEOUT_S = 60.0


def start(*services: Service) -> None:
    """Start *services* and all they require, now instead of at their first guarded call.

    Blocks until they are started, also when called on a running event loop; there, prefer
    ``async with running(...)``. Harmless when they are started already. Any thread.

    Raises:
        ServiceInitializationError: A hook failed. What had started before it stays started.
        CircularDependencyError: They require each other.
        TypeError: An argument is not a service class.
    """
    check_services(services)
    ensure_started(services)


def stop(*services: Service, timeout: float = STOP_TIMEOUT_S) -> None:
    """Stop *services* and what depends on them; without arguments, everything that is started.

    In exact reverse of the order in which they came up. A ``shutdown`` that fails or takes too
    long does not keep the others from theirs. Starts under way are waited for, and calls that come
    meanwhile wait and then start anew. Stopping what is not started does nothing. Any thread.

    Args:
        services: What to stop.
        timeout: Seconds that each ``shutdown`` hook may take.

    Raises:
        ServiceShutdownError: Some hooks failed; it holds all their errors.
        ServiceNotInitializedError: Called on an event loop that a start under way needs.
        TypeError: An argument is not a service class.
    """
    check_services(services)
    stop_here(services or None, timeout)


class running:  # noqa: N801 - reads as a word at its place of use: `with running(Mailer):`
    """Have *services* started within a block: ``with running(A):`` or ``async with running(A):``.

    On leaving it stops what it started itself, and what came to depend on that meanwhile. What was
    started before the block stays. Without arguments it starts nothing, and on leaving stops
    everything that was started within.

    When the block ended with an exception, that one is passed on, and errors of shutting down are
    logged; otherwise they are raised as ServiceShutdownError.
    """

    def __init__(self, *services: Service, timeout: float = STOP_TIMEOUT_S) -> None:
        check_services(services)
        self._services = services
        self._timeout_s = timeout
        self._before: set[Service] = set()

    def __enter__(self) -> Self:
        self._before = set(state.started)
        try:
            ensure_started(self._services)
        except BaseException as error:
            self._finish(error)
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._finish(error)

    async def __aenter__(self) -> Self:
        self._before = set(state.started)
        try:
            await ensure_started_async(self._services)
        except BaseException as error:
            await self._finish_async(error)
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self._finish_async(error)

    def _finish(self, error: BaseException | None) -> None:
        try:
            if mine := self._mine():
                stop_here(mine, self._timeout_s)
        except Exception as trouble:
            _pass_on(trouble, error)

    async def _finish_async(self, error: BaseException | None) -> None:
        try:
            if mine := self._mine():
                await stop_async(mine, self._timeout_s)
        except Exception as trouble:
            _pass_on(trouble, error)

    def _mine(self) -> list[Service]:
        within = [service for service in tuple(state.started) if service not in self._before]
        if not self._services:
            return within
        asked = set(full_order(self._services))
        return [service for service in within if service in asked]


def _pass_on(trouble: Exception, error: BaseException | None) -> None:
    if error is None:
        raise trouble
    from ._log import logger  # noqa: PLC0415 - logging is loaded when there is something to say

    logger().error("services failed to shut down after an error", exc_info=trouble)


def all_services() -> list[Service]:
    """Return every service class defined so far that is no mere base, bases before what derives from them."""
    found: dict[Service, None] = {}
    pending = BaseService.__subclasses__()
    while pending:
        service = pending.pop()
        if service not in found:
            found[service] = None
            pending += service.__subclasses__()
    return [service for service in found if not vars(service).get("_only_a_base", False)]


def check_services(services: Sequence[object]) -> None:
    for service in services:
        if not is_service(service):
            raise TypeError(f"expected service classes (derived from BaseService), got {service!r}")
