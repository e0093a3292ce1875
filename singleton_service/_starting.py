"""Bringing services up: which, in what order, by whom, and what to do when it fails.

`claim` decides under the lock; two thin drivers, one for plain calls and one for coroutines, carry
it out. One call starts services one after another; it owns at most one start at a time, and none
while it waits outside of a hook. So different callers can be at work on unrelated services, and a
ring of waits can only arise through calls inside hooks, which `check_wait` sees coming.
"""

from __future__ import annotations

import atexit
import threading
import time
from itertools import groupby

from . import _hooks
from ._loops import background_loop_for, in_thread, run_on, running_loop
from ._operations import (
    Operation,
    Phase,
    Record,
    active,
    blocking,
    check_wait,
    inside,
    lock,
    state,
    waiting,
)
from ._order import CycleFound, find_path, start_order
from ._requires import dependencies_of, is_service
from .exceptions import (
    CircularDependencyError,
    SelfDependencyError,
    ServiceError,
    ServiceInitializationError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ._service import BaseService

    Service = type[BaseService]

__all__ = [
    "cycle_error",
    "ensure_started",
    "ensure_started_async",
    "needs",
    "plan",
    "stand_in",
    "wait_awaiting",
    "wait_here",
]

EXIT_TIMEOUT_S = 10.0
"""How long one ``shutdown`` hook may take when the interpreter ends."""

PATIENCE_S = 10.0
"""How long a plain call waits for somebody else's start without saying so."""


class _Wait:
    """Somebody else is at it; wait for them, then look again."""

    __slots__ = ("entered", "operation")

    def __init__(self, operation: Operation, entered: waiting) -> None:
        self.operation = operation
        self.entered = entered

    def __enter__(self) -> None:
        """Nothing: the wait was recorded under the lock, when it was decided."""

    def __exit__(self, *_exc: object) -> None:
        self.entered.__exit__()


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
        raise cycle_error(found) from None


def cycle_error(found: CycleFound) -> CircularDependencyError | SelfDependencyError:
    path: Any = found.path
    return SelfDependencyError(path[0]) if len(path) == 2 else CircularDependencyError(path)


def _is_up(service: Service) -> bool:
    return service._initialized


def ensure_started(roots: Sequence[Service]) -> None:
    """Start *roots* and all they need, in this thread; wait for what others are starting."""
    caller = active()
    wanted = _wanted(roots, caller)
    loop = running_loop()
    while not all(_bring_up(service, wanted, caller, loop) for service in plan(wanted)):
        pass  # something in the plan was stopped meanwhile: plan again


async def ensure_started_async(roots: Sequence[Service]) -> None:
    """Start *roots* and all they need without blocking the running event loop."""
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    caller = active()
    wanted = _wanted(roots, caller)
    loop = asyncio.get_running_loop()
    is_complete = False
    while not is_complete:
        is_complete = True
        for is_plain, group in groupby(plan(wanted), _only_plain_hooks):
            if is_plain:
                is_complete = await _bring_up_in_thread(list(group), wanted, caller, loop)
            else:
                for service in group:
                    is_complete = is_complete and await _bring_up_async(service, wanted, caller, loop)
            if not is_complete:
                break


def _wanted(roots: Sequence[Service], caller: Operation | None) -> list[Service]:
    wanted = [service for service in map(stand_in, roots) if service is not None]
    if caller is None:
        return wanted
    # A service may use itself in its ping and its shutdown: what they look at is there.
    in_use = {step.service for step in caller.lineage() if step.phase in (Phase.PING, Phase.SHUTDOWN)}
    wanted = [service for service in wanted if service not in in_use]
    for service in wanted:
        _notice_undeclared(service, caller)
    return wanted


def _notice_undeclared(service: Service, caller: Operation) -> None:
    user = caller.service
    if user is None or user is service or not caller.phase.is_starting or service._initialized:
        return
    if service in caller.used or find_path(user, service, needs) is not None:
        return
    caller.used.add(service)
    said: set[Service] = vars(user).get("_said_undeclared", set())
    if service in said or find_path(service, user, needs) is not None:
        return  # said before; or a ring, and the error about it says more
    user._said_undeclared = {*said, service}
    from ._log import logger  # noqa: PLC0415 - logging is loaded when there is something to say

    logger().warning(
        "%s uses %s in its %s() without declaring it. It was started now, but the start order is only known "
        "beforehand with this line above class %s: @requires(%s)",
        user.__name__,
        service.__name__,
        caller.phase.value,
        user.__name__,
        service.__name__,
    )


def _only_plain_hooks(service: Service) -> bool:
    return not (_hooks.is_async(service.initialize) or _hooks.is_async(service.ping))


def _way(roots: Sequence[Service], service: Service) -> tuple[Service, ...]:
    for root in roots:
        path = find_path(root, service, needs)
        if path is not None:
            return path
    return (service,)


def _claim(
    service: Service, roots: Sequence[Service], caller: Operation | None, loop: AbstractEventLoop | None
) -> Operation | _Wait | bool:
    """Decide what to do about *service*: run the returned operation, wait, or nothing.

    Args:
        service: What is to be started now.
        roots: What was asked for, to tell the way from there to *service*.
        caller: The operation in whose hook the call is.
        loop: The event loop whose thread a wait would block.

    Returns:
        True when it is started already, False when the plan is out of date.
    """
    with lock:
        if service._initialized:
            return True
        busy = state.running.get(service)
        if busy is None and caller is None:
            busy = state.stopping
        if busy is not None:
            check_wait(busy, caller, loop, _way(roots, service))
            entered = waiting(caller, busy, loop)
            entered.__enter__()
            return _Wait(busy, entered)
        if not all(needed._initialized for needed in needs(service)):
            return False
        operation = Operation(service, Phase.INITIALIZE, caller)
        state.running[service] = operation
        state.started.pop(service, None)  # `_initialized = False` was set by hand
        return operation


def _bring_up(
    service: Service, roots: Sequence[Service], caller: Operation | None, loop: AbstractEventLoop | None
) -> bool:
    while True:
        step = _claim(service, roots, caller, loop)
        if isinstance(step, bool):
            return step
        if isinstance(step, Operation):
            _start_here(step, roots, loop)
            return True
        with step:
            wait_here(step.operation)
        _raise_error_of(step.operation, roots)


async def _bring_up_in_thread(
    services: Sequence[Service], roots: Sequence[Service], caller: Operation | None, loop: AbstractEventLoop
) -> bool:
    """Bring up services with plain hooks only, in a thread, unless somebody else is at it.

    The first is claimed here, so that of a thousand tasks one makes a thread and the others wait.
    """
    for position, service in enumerate(services):
        step = await _claim_awaiting(service, roots, caller, loop)
        if isinstance(step, Operation):
            return await _run_in_thread(step, services[position + 1 :], roots, caller)
        if not step:
            return False
    return True


async def _run_in_thread(
    operation: Operation, others: Sequence[Service], roots: Sequence[Service], caller: Operation | None
) -> bool:
    """Run *operation*, then bring up *others*. Cancelled, finish what has begun and no more."""
    has_begun: list[bool] = []
    is_wanted = [True]

    def run() -> bool:
        has_begun.append(True)
        _start_here(operation, roots, None)
        return all(not is_wanted or _bring_up(service, roots, caller, None) for service in others)

    try:
        return await in_thread(run, outlives_cancellation=True)
    except RuntimeError:
        if not has_begun:  # no thread to be had; others may try
            _forget(operation)
        raise
    finally:
        is_wanted.clear()


async def _claim_awaiting(
    service: Service, roots: Sequence[Service], caller: Operation | None, loop: AbstractEventLoop
) -> Operation | bool:
    """Do what `_claim` does, and wait for others as long as it says so."""
    while isinstance(step := _claim(service, roots, caller, None), _Wait):
        with step:
            await wait_awaiting(step.operation, loop)
        _raise_error_of(step.operation, roots)
    return step


async def _bring_up_async(
    service: Service, roots: Sequence[Service], caller: Operation | None, loop: AbstractEventLoop
) -> bool:
    step = await _claim_awaiting(service, roots, caller, loop)
    if not isinstance(step, Operation):
        return step
    await _start_awaiting(step, roots, loop)
    return True


def _start_here(operation: Operation, roots: Sequence[Service], loop: AbstractEventLoop | None) -> None:
    attempt = _Attempt(operation, roots)
    with attempt, blocking(loop, operation), inside(operation):
        _call_here(operation, "initialize")
        operation.phase = Phase.PING
        attempt.judge(_call_here(operation, "ping"))


async def _start_awaiting(operation: Operation, roots: Sequence[Service], loop: AbstractEventLoop) -> None:
    attempt = _Attempt(operation, roots)
    with attempt, inside(operation):
        with lock:
            operation.loop = loop
        await _call_awaiting(operation, "initialize")
        operation.phase = Phase.PING
        attempt.judge(await _call_awaiting(operation, "ping"))


def _call_here(operation: Operation, name: str) -> Any:
    service: Any = operation.service
    if _hooks.is_default(service, name):
        return True
    answer = getattr(service, name)()
    if not _hooks.is_awaitable(answer):
        return answer
    loop = operation.loop or background_loop_for(operation)
    return run_on(loop, answer)


async def _call_awaiting(operation: Operation, name: str) -> Any:
    service: Any = operation.service
    if _hooks.is_default(service, name):
        return True
    hook = getattr(service, name)
    answer = hook() if _hooks.is_async(hook) else await in_thread(hook)
    return await answer if _hooks.is_awaitable(answer) else answer


def _forget(operation: Operation, failure: ServiceError | None = None) -> None:
    """Close an operation that did not start its service; without a *failure* those who wait will try."""
    with lock:
        if operation.service is not None and state.running.get(operation.service) is operation:
            del state.running[operation.service]
        operation.error = failure
    operation.close()


class _Attempt:
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
            _forget(self._operation)
            return
        failure = self._failure(error)
        if failure is error:  # the hook ran into the container itself; it goes on as it is
            _forget(self._operation, failure)
            return
        failure.__cause__ = error
        _forget(self._operation, failure)
        raise failure from error

    def _publish(self) -> None:
        operation, service = self._operation, self._service
        with lock:
            state.running.pop(service, None)
            state.started[service] = Record(operation.loop, time.time(), time.monotonic() - self._began, operation.used)
            service._loop = operation.loop
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
        return ServiceInitializationError(self._service, _way(self._roots, self._service), reason)


def _told(error: Exception | None) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def wait_here(operation: Operation) -> None:
    finished = threading.Event()
    operation.when_done(finished.set)
    if not finished.wait(PATIENCE_S):
        _say_what_is_waited_for(operation)
        finished.wait()


def _say_what_is_waited_for(operation: Operation) -> None:
    # A hook that waits for a thread of its own that calls the service looks like this: no one can
    # tell such a thread from any other, so the least we can do is to say where to look.
    from ._log import logger  # noqa: PLC0415 - rarely reached

    name = operation.service.__name__ if operation.service is not None else "the services"
    logger().warning(
        "still waiting for the %s() of %s after %g s. If that hook waits for a thread which calls %s, they wait "
        "for each other.",
        operation.phase.value,
        name,
        PATIENCE_S,
        name,
    )


async def wait_awaiting(operation: Operation, loop: AbstractEventLoop) -> None:
    finished: Future[None] = loop.create_future()

    def deliver() -> None:
        if not finished.done():
            finished.set_result(None)

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            return  # the loop was closed meanwhile; nobody waits any more

    operation.when_done(wake)
    await finished


def _raise_error_of(operation: Operation, roots: Sequence[Service]) -> None:
    """Raise what the one we waited for got: an error of its own, so that tracebacks do not mix."""
    error = operation.error
    if error is None:
        return
    again: ServiceError
    if isinstance(error, ServiceInitializationError):
        way = _way(roots, error.service) if isinstance(error.service, type) else error.path
        again = ServiceInitializationError(error.service, way, error.reason)
    else:
        again = type(error)(*error.args)
    raise again from error.__cause__


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
