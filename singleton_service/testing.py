"""For tests: swap a service for another, put everything back, keep tests apart.

`override`, `reset` and `isolated` work with any test runner. With pytest the plugin of this package
is active by itself: it puts `isolated` around every test, and offers the fixture ``services``.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._circuit import CircuitBreaker
from ._lifecycle import STOP_TIMEOUT_S, all_services, check_services
from ._operations import lock, state
from ._order import with_dependents
from ._requires import dependencies_of, is_service
from ._starting import ensure_started, ensure_started_async
from ._stopping import stop_async, stop_here

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from ._service import BaseService

    Service = type[BaseService]

__all__ = ["isolated", "override", "reset"]

Fake = TypeVar("Fake")

_HOOKS = ("initialize", "ping", "shutdown")
_OURS = ("_initialized", "_home")  # written by the container alone; nothing to put back
_COPIED = frozenset({list, dict, set, deque, bytearray})


class override(Generic[Fake]):  # noqa: N801 - reads as a word at its place of use: `with override(Mailer, Fake):`
    """Let *fake* stand in for *service* within a block: ``with`` or ``async with``.

    Whoever calls a method of *service* gets the one of *fake*: through the class, through a bound
    method saved before, or as a dependent that requires it. If *fake* is a service, it is started
    and stopped like any other; it may also be any object with the right methods.

    Entering stops *service* and what depends on it, and gives *fake*. Leaving, also by an
    exception, stops *fake* and what depends on it, and starts again what was started before.
    Blocks may be nested, also across threads; the one entered last counts.

    Raises:
        TypeError: *service* is not a service class, or *fake* is the same one.
    """

    def __init__(self, service: Service, fake: Fake) -> None:
        check_services((service,))
        if fake is service:
            raise TypeError(f"{service.__name__} cannot stand in for itself")
        self.fake = fake
        self._service = service
        self._before: list[Service] = []

    def __enter__(self) -> Fake:
        self._before = _affected(self._service)
        stop_here((self._service, *self._before), STOP_TIMEOUT_S)
        _push(self._service, self)
        return self.fake

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            stop_here(self._to_stop(), STOP_TIMEOUT_S)
        finally:
            _remove(self._service, self)
        ensure_started(self._before)

    async def __aenter__(self) -> Fake:
        self._before = _affected(self._service)
        await stop_async((self._service, *self._before), STOP_TIMEOUT_S)
        _push(self._service, self)
        return self.fake

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            await stop_async(self._to_stop(), STOP_TIMEOUT_S)
        finally:
            _remove(self._service, self)
        await ensure_started_async(self._before)

    def _to_stop(self) -> list[Service]:
        fakes: list[Service] = [self.fake] if is_service(self.fake) else []
        return [self._service, *fakes, *_affected(self._service)]


def reset() -> None:
    """Stop everything, end every override, and mark every service as not started.

    For the end of a test, where no block can be used. What services keep in their class attributes
    stays; `isolated` puts that back as well.

    Raises:
        ServiceShutdownError: Some ``shutdown`` hooks failed; all is reset all the same.
    """
    _end_overrides({})
    try:
        stop_here(None, STOP_TIMEOUT_S)
    finally:
        _mark_not_started(set())


@contextmanager
def isolated() -> Iterator[None]:
    """Keep what happens to services in the block inside it.

    On leaving, also by an exception: overrides made within end, what was started within is stopped,
    and the class attributes of services are put back, the contents of lists, dicts and sets too;
    circuit breakers are closed.
    A service that was started before the block is left alone.

    Raises:
        ServiceShutdownError: Some ``shutdown`` hooks failed; all is put back all the same.
    """
    with lock:
        before = set(state.started)
        layers = {service: len(stack) for service, stack in _layers.items()}
    kept = [_Attributes(service) for service in all_services() if service not in before]
    try:
        yield
    finally:
        _end_overrides(layers)
        try:
            within = [service for service in tuple(state.started) if service not in before]
            if within:
                stop_here(within, STOP_TIMEOUT_S)
        finally:
            for attributes in kept:
                attributes.put_back()
            _mark_not_started(before)


class _Attributes:
    """The class attributes of a service as they were, with the contents of containers."""

    __slots__ = ("_contents", "_service", "_values")

    def __init__(self, service: Service) -> None:
        self._service = service
        # Everything, filtered only when it is put back: this runs before each test, for each service.
        self._values = dict(vars(service))
        self._contents = {name: value.copy() for name, value in self._values.items() if type(value) in _COPIED}

    def put_back(self) -> None:
        now = vars(self._service)
        for name in [name for name in now if _is_kept(name) and name not in self._values]:
            delattr(self._service, name)
        for name, value in self._values.items():
            if not _is_kept(name):
                continue
            if name in self._contents and value != self._contents[name]:
                _refill(value, self._contents[name])
            if now.get(name) is not value:
                setattr(self._service, name, value)
            if isinstance(value, CircuitBreaker):
                value.reset()


def _is_kept(name: str) -> bool:
    return name not in _OURS and not (name.startswith("__") and name.endswith("__"))


def _refill(container: Any, contents: Any) -> None:
    """Give *container* its old contents, in place: others may hold it."""
    container.clear()
    if isinstance(container, (dict, set)):
        container.update(contents)
    else:
        container.extend(contents)


def _mark_not_started(kept: set[Service]) -> None:
    """Undo `_initialized = True` that was set by hand."""
    with lock:
        for service in all_services():
            if service not in kept and service not in state.started:
                service._initialized = False
                service._home = None


_layers: dict[Service, list[override[Any]]] = {}
_replaced: dict[Service, dict[str, Any]] = {}


def _affected(service: Service) -> list[Service]:
    """Return what is started of *service* and everything above it, in start order."""
    with lock:
        return with_dependents(
            (service,), state.started, lambda user: (*dependencies_of(user), *state.started[user].used)
        )


def _push(service: Service, layer: override[Any]) -> None:
    with lock:
        layers = _layers.setdefault(service, [])
        if not layers:
            _redirect_methods(service)
        layers.append(layer)
        state.overrides[service] = layer.fake


def _remove(service: Service, layer: override[Any]) -> None:
    with lock:
        layers = _layers.get(service, [])
        if layer in layers:
            layers.remove(layer)
        if layers:
            state.overrides[service] = layers[-1].fake
        elif service in _layers:
            del _layers[service]
            del state.overrides[service]
            _restore_methods(service)


def _end_overrides(kept: dict[Service, int]) -> None:
    for service, layers in tuple(_layers.items()):
        for layer in tuple(layers)[kept.get(service, 0) :]:
            layer.__exit__(None, None, None)


def _redirect_methods(service: Service) -> None:
    """Lead the methods that are not guarded to the stand-in; the guarded ones ask by themselves."""
    members: dict[str, Any] = {}
    for base in service.__mro__:
        if base is object or base.__module__ in ("singleton_service._service", "singleton_service._runnable"):
            continue
        for name, member in vars(base).items():
            if isinstance(member, (classmethod, staticmethod)) and name not in _HOOKS and _is_kept(name):
                members.setdefault(name, member)
    members = {name: m for name, m in members.items() if not getattr(m.__func__, "_guarded", False)}
    _replaced[service] = {name: vars(service).get(name) for name in members}
    for name, member in members.items():
        setattr(service, name, classmethod(_redirected(service, name, member)))


def _redirected(service: Service, name: str, member: Any) -> Any:
    def call(cls: Service, *args: Any, **kwargs: Any) -> Any:
        if cls is not service or service not in state.overrides:
            # A subclass, the stand-in calling up, or a method saved while the override lasted.
            return member.__get__(None, cls)(*args, **kwargs)
        return getattr(state.overrides[service], name)(*args, **kwargs)

    return call


def _restore_methods(service: Service) -> None:
    for name, member in _replaced.pop(service, {}).items():
        if member is None:
            delattr(service, name)  # it was inherited
        else:
            setattr(service, name, member)
