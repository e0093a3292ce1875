"""Bringing services up: which, in what order, by whom, and what to do when it fails.

`_claim` decides under the lock; two thin drivers, one for plain calls and one for coroutines, carry
it out. One call starts services one after another; it owns at most one start at a time, and none
while it waits outside of a hook. So different callers can be at work on unrelated services, and a
ring of waits can only arise through calls inside hooks, which `check_wait` sees coming.
"""

from __future__ import annotations

import threading
from itertools import groupby

from . import _hooks
from ._attempt import Attempt, forget
from ._loops import background_loop_for, in_thread, run_on, running_loop
from ._operations import Operation, Phase, active, blocking, check_wait, inside, lock, state, waiting
from ._order import find_path
from ._plan import needs, plan, stand_in, way_to
from ._waiting import Wait, wait_awaiting, wait_here
from .exceptions import ServiceError, ServiceInitializationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Sequence
    from typing import Any

    from ._service import BaseService

    Service = type[BaseService]

__all__ = ["ensure_started", "ensure_started_async"]


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


def _claim(
    service: Service,
    roots: Sequence[Service],
    caller: Operation | None,
    loop: AbstractEventLoop | None,
    *,
    thread: int = 0,
) -> Operation | Wait | bool:
    """Decide what to do about *service*: run the returned operation, wait, or nothing.

    Args:
        service: What is to be started now.
        roots: What was asked for, to tell the way from there to *service*.
        caller: The operation in whose hook the call is.
        loop: The event loop whose thread a wait would block.
        thread: The thread a wait would block; 0 when it is awaited.

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
            check_wait(busy, caller, loop, lambda: way_to(roots, service), thread)
            entered = waiting(caller, busy, loop)
            entered.__enter__()
            return Wait(busy, entered)
        if not all(needed._initialized for needed in needs(service)):
            return False
        operation = Operation(service, Phase.INITIALIZE, caller)
        operation.thread = thread
        state.running[service] = operation
        state.started.pop(service, None)  # `_initialized = False` was set by hand
        return operation


def _bring_up(
    service: Service, roots: Sequence[Service], caller: Operation | None, loop: AbstractEventLoop | None
) -> bool:
    while True:
        step = _claim(service, roots, caller, loop, thread=threading.get_ident())
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
        operation.thread = threading.get_ident()
        _start_here(operation, roots, None)
        return all(not is_wanted or _bring_up(service, roots, caller, None) for service in others)

    try:
        return await in_thread(run, outlives_cancellation=True)
    except RuntimeError:
        if not has_begun:  # no thread to be had; others may try
            forget(operation)
        raise
    finally:
        is_wanted.clear()


async def _claim_awaiting(
    service: Service, roots: Sequence[Service], caller: Operation | None, loop: AbstractEventLoop
) -> Operation | bool:
    """Do what `_claim` does, and wait for others as long as it says so."""
    while isinstance(step := _claim(service, roots, caller, None), Wait):
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
    attempt = Attempt(operation, roots)
    with attempt, blocking(loop, operation), inside(operation):
        _call_here(operation, "initialize")
        operation.phase = Phase.PING
        attempt.judge(_call_here(operation, "ping"))


async def _start_awaiting(operation: Operation, roots: Sequence[Service], loop: AbstractEventLoop) -> None:
    attempt = Attempt(operation, roots)
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


def _raise_error_of(operation: Operation, roots: Sequence[Service]) -> None:
    """Raise what the one we waited for got: an error of its own, so that tracebacks do not mix."""
    error = operation.error
    if error is None:
        return
    again: ServiceError
    if isinstance(error, ServiceInitializationError):
        way = way_to(roots, error.service) if isinstance(error.service, type) else error.path
        again = ServiceInitializationError(error.service, way, error.reason)
    else:
        again = type(error)(*error.args)
    raise again from error.__cause__
