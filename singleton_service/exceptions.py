"""Everything the container raises, as one tree.

ServiceError
├── ServiceInitializationError      a hook failed while a service was starting
├── CircularDependencyError         services need each other in a ring
├── SelfDependencyError             a service needs itself in order to start
├── ServiceNotInitializedError      a plain call may not wait for the start that is under way
│   └── DependencyNotInitializedError   the same, of a service further down
├── CircuitOpenError                a circuit breaker refused a call
└── ServiceShutdownError            one or more ``shutdown`` hooks failed (an ``ExceptionGroup``)

All of them survive pickling, also when the service is a class that cannot be imported
elsewhere (one defined inside a function): then its name arrives in its place.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers know the name; importing typing for it costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = [
    "CircuitOpenError",
    "CircularDependencyError",
    "DependencyNotInitializedError",
    "SelfDependencyError",
    "ServiceError",
    "ServiceInitializationError",
    "ServiceNotInitializedError",
    "ServiceShutdownError",
]


class ServiceError(Exception):
    """The root of all errors of the container."""


class _NamedError(ServiceError):
    """An error about services, each kept as a class here and as a name when it travels."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        notes = tuple(getattr(self, "__notes__", ()))
        return _rebuild, (type(self), tuple(_pack(fact) for fact in self.args), notes)


class CircularDependencyError(_NamedError):
    """Services need each other in a ring, so none of them can be the first to start.

    Attributes:
        path: The services along the ring; the first one is repeated at the end.
    """

    def __init__(self, path: Sequence[type | str]) -> None:
        super().__init__(tuple(path))
        self.path = tuple(path)

    def __str__(self) -> str:
        return (
            f"circular dependency: {_arrows(self.path)}. "
            "Take one of these edges away, or move what both need into a service of its own."
        )


class SelfDependencyError(_NamedError):
    """A service needs itself in order to start.

    Attributes:
        service: The service.
    """

    def __init__(self, service: type | str) -> None:
        super().__init__(service)
        self.service = service

    def __str__(self) -> str:
        name = _name(self.service)
        return (
            f"{name} needs itself in order to start: its initialize() calls one of its own @guarded methods, "
            f"or it is named in its own @requires. Move the shared code into an unguarded helper of {name}."
        )


class ServiceInitializationError(_NamedError):
    """A service did not start; the hook's own exception is chained as ``__cause__``.

    The next guarded call tries again. What had started before stays started.

    Attributes:
        service: The service that failed.
        path: How the call got there: the service that was called first, the one that failed last.
        reason: What went wrong, in words.
    """

    def __init__(self, service: type | str, path: Sequence[type | str], reason: str) -> None:
        super().__init__(service, tuple(path), reason)
        self.service = service
        self.path = tuple(path)
        self.reason = reason

    def __str__(self) -> str:
        needed = f" (needed by: {_arrows(self.path)})" if len(self.path) > 1 else ""
        return (
            f"Failed to initialize {_name(self.service)}{needed}: {self.reason}. "
            "Nothing was marked as started for it; the next call tries again."
        )


class ServiceNotInitializedError(_NamedError):
    """A plain call came while its service is being started on the very event loop or thread it would block.

    Attributes:
        service: The service that was called.
        busy_with: The service whose hook needs the event loop or the thread.
    """

    def __init__(self, service: type | str, busy_with: type | str) -> None:
        super().__init__(service, busy_with)
        self.service = service
        self.busy_with = busy_with

    def __str__(self) -> str:
        return (
            f"{_name(self.service)} is not started yet: {_name(self.busy_with)} is being started or stopped on "
            "this event loop or in this thread, and a plain call that waits for it would keep it from going on. "
            f"Enter `async with running({_name(self.service)}):` first, or await one of its async methods."
        )


class DependencyNotInitializedError(ServiceNotInitializedError):
    """The same, when it is not the called service that occupies the loop but one it requires."""

    def __str__(self) -> str:
        return f"a dependency of {_name(self.service)} is in the way. {super().__str__()}"


class CircuitOpenError(ServiceError):
    """A circuit breaker refused a call, because too many before it had failed. Nothing was called.

    A worker holds a task whose handler raises it, and counts no retry.

    Attributes:
        circuit: The name of the circuit breaker, such as "Payments.breaker".
        retry_in_s: Seconds until it lets a call through.
        last_failure: The last failure that it saw: type and message.
    """

    def __init__(self, circuit: str, retry_in_s: float, last_failure: str) -> None:
        super().__init__(circuit, retry_in_s, last_failure)
        self.circuit = circuit
        self.retry_in_s = retry_in_s
        self.last_failure = last_failure

    def __str__(self) -> str:
        return (
            f"{self.circuit} is open, after {self.last_failure}: nothing was called. "
            f"It lets a call through in {self.retry_in_s:.1f} s; reset() closes it now."
        )


class ServiceShutdownError(ServiceError, ExceptionGroup[Exception]):
    """One or more ``shutdown`` hooks failed or took too long; all the others ran all the same.

    An ``ExceptionGroup``: ``except*`` works, ``exceptions`` holds each hook's own exception with
    its traceback, and a note on each says which service it came from.
    """

    def derive(self, excs: Sequence[Exception], /) -> ServiceShutdownError:  # type: ignore[override]
        """Return a group of the same kind around *excs*, as ``split`` and ``except*`` ask for."""
        return ServiceShutdownError(self.message, excs)


def _name(service: type | str) -> str:
    return service if isinstance(service, str) else service.__name__


def _arrows(path: Sequence[type | str]) -> str:
    return " -> ".join(_name(service) for service in path)


def _pack(fact: object) -> object:
    """Turn a class into something that can be pickled whether or not it can be imported."""
    if isinstance(fact, type):
        return _Packed((fact.__module__, fact.__qualname__))
    return tuple(_pack(part) for part in fact) if isinstance(fact, tuple) else fact


def _unpack(fact: object) -> object:
    if isinstance(fact, _Packed):
        return fact.find()
    return tuple(_unpack(part) for part in fact) if isinstance(fact, tuple) else fact


class _Packed(tuple[str, str]):
    """Module and qualified name of a class on its way to another process."""

    __slots__ = ()

    def find(self) -> type | str:
        module_name, qualname = self
        try:
            found: Any = import_module(module_name)
            for part in qualname.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError):
            found = None
        return found if isinstance(found, type) else qualname.rpartition(".")[2]


def _rebuild(
    error_type: Callable[..., ServiceError], facts: tuple[object, ...], notes: tuple[str, ...]
) -> ServiceError:
    error = error_type(*(_unpack(fact) for fact in facts))
    for note in notes:
        error.add_note(note)
    return error
