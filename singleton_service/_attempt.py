"""One try at starting one service: what comes of it, and who gets to know."""

from __future__ import annotations

import atexit
import time

from ._operations import Operation, Phase, Record, lock, state
from ._plan import way_to
from .exceptions import (
    CircularDependencyError,
    SelfDependencyError,
    ServiceError,
    ServiceInitializationError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._service import BaseService

    Service = type[BaseService]

__all__ = ["Attempt", "forget"]

EXIT_TIMEOUT_S = 10.0
"""How long one ``shutdown`` hook may take when the interpreter ends."""


def forget(operation: Operation, failure: ServiceError | None = None) -> None:
    """Close an operation that did not start its service; without a *failure* those who wait will try."""
    with lock:
        if operation.service is not None and state.running.get(operation.service) is operation:
            del state.running[operation.service]
        operation.error = failure
    operation.close()


class Attempt:
    """One try at starting one service: publishes its outcome, whatever that is, exactly once."""

    __slots__ = ("_began", "_operation", "_ping_answer", "_roots")

    def __init__(self, operation: Operation, roots: Sequence[Service]) -> None:
        self._operation = operation
        self._roots = roots
        self._ping_answer = False
        self._began = time.monotonic()

    def judge(self, ping_answer: object) -> None:
        self._ping_answer = bool(ping_answer)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None and self._ping_answer:
            self._publish()
            return
        if error is not None and not isinstance(error, Exception):
            # Cancelled or interrupted. Nobody failed: those who wait will try themselves.
            forget(self._operation)
            return
        failure = self._failure(error)
        if failure is error:  # the hook ran into the container itself; it goes on as it is
            forget(self._operation, failure)
            return
        failure.__cause__ = error
        forget(self._operation, failure)
        raise failure from error

    def _publish(self) -> None:
        operation, service = self._operation, self._service
        with lock:
            state.running.pop(service, None)
            state.started[service] = Record(operation.loop, time.time(), time.monotonic() - self._began, operation.used)
            service._home = operation.loop
            service._initialized = True
        operation.close()
        _arrange_last_resort()

    @property
    def _service(self) -> Service:
        service = self._operation.service
        if service is None:
            raise TypeError("a stop() is no attempt to start")
        return service

    def _failure(self, error: Exception | None) -> ServiceError:
        if isinstance(error, (CircularDependencyError, SelfDependencyError)):
            return error  # wrapped, it would not be caught by its own name
        if self._operation.phase is Phase.INITIALIZE:
            reason = f"its initialize() raised {_told(error)}"
        elif error is None:
            reason = "its ping method returned False"
        else:
            reason = f"its ping method raised an exception: {_told(error)}"
        return ServiceInitializationError(self._service, way_to(self._roots, self._service), reason)


def _told(error: Exception | None) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


_is_arranged = False


def _arrange_last_resort() -> None:
    """Stop what is still started when the interpreter ends. Registered with the first start."""
    global _is_arranged
    if not _is_arranged:
        _is_arranged = True
        atexit.register(_stop_at_exit)


def _stop_at_exit() -> None:
    if not state.started:
        return
    from ._log import logger  # noqa: PLC0415 - rarely reached
    from ._stopping import stop_here  # noqa: PLC0415 - stopping builds on this module

    try:
        stop_here(None, EXIT_TIMEOUT_S)
    except ServiceError as error:
        logger().exception("a service did not shut down at exit", exc_info=error)
