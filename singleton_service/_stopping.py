"""Bringing services down: in exact reverse of the order in which they came up.

One ``stop()`` at a time. While it lasts, new calls from outside wait; starts that are under way
are waited for first. `_Session` decides, two thin drivers carry it out.
"""

from __future__ import annotations

import threading
import time

from . import _hooks
from ._loops import (
    BoundedThread,
    close_background_loops,
    in_thread,
    is_usable,
    run_bounded,
    run_fresh_for,
    run_on,
    running_loop,
)
from ._operations import Operation, Phase, Record, active, check_wait, find_wait, inside, lock, state, waiting
from ._order import with_dependents
from ._plan import full_order, needs
from ._waiting import Wait, wait_awaiting, wait_here
from .exceptions import ServiceShutdownError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Sequence
    from typing import Any

    from ._service import BaseService

    Service = type[BaseService]

__all__ = ["stop_async", "stop_here"]


def stop_here(services: Sequence[Service] | None, timeout_s: float) -> None:
    """Stop *services* (None: all) and what depends on them, blocking this thread."""
    _give_up_deferred(services)
    session = _Session(services, running_loop(), threading.get_ident())
    while (wait := session.next_wait()) is not None:
        with wait:
            wait_here(wait.operation)
    try:
        with BoundedThread() as helper:
            while (stopping := session.next_stop()) is not None:
                operation, record = stopping
                with session.closing(operation), inside(operation):
                    _shut_down(operation, record, timeout_s, helper)
    finally:
        session.end()
        close_background_loops(timeout_s)
    session.raise_errors()


async def stop_async(services: Sequence[Service] | None, timeout_s: float) -> None:
    """Stop *services* (None: all) and what depends on them, without blocking the running loop."""
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    loop = asyncio.get_running_loop()
    _give_up_deferred(services)
    session = _Session(services, None, 0)
    while (wait := session.next_wait()) is not None:
        with wait:
            await wait_awaiting(wait.operation, loop)
    try:
        while (stopping := session.next_stop()) is not None:
            operation, record = stopping
            with session.closing(operation), inside(operation):
                await _shut_down_awaiting(operation, record, timeout_s, loop)
    finally:
        session.end()
        await in_thread(lambda: close_background_loops(timeout_s))
    session.raise_errors()


def _give_up_deferred(services: Sequence[Service] | None) -> None:
    """Have nobody start later what is to be stopped now."""
    with lock:
        wanted = tuple(state.deferred)
        if services is not None:
            wanted = tuple(with_dependents(services, full_order(wanted), needs))
        given_up = [state.deferred.pop(service) for service in wanted if service in state.deferred]
    for give_up in given_up:
        give_up()


class _Session:
    """One ``stop()``: what it waits for, what it stops, and what went wrong."""

    def __init__(self, services: Sequence[Service] | None, blocked_loop: AbstractEventLoop | None, thread: int) -> None:
        self._services = services
        self._blocked_loop = blocked_loop
        self._thread = thread  # that a wait would block; 0 when it is awaited
        self._caller = active()
        self._gate: Operation | None = None
        self._stopped: set[Service] = set()
        self._queue: list[Service] = []  # what is left to stop; the last one goes first
        self._count = -1  # how many services were up when the queue was made or last taken from
        self._errors: list[Exception] = []

    def next_wait(self) -> Wait | None:
        """Return what to wait for, or None when the way is clear and closed behind us."""
        with lock:
            other = state.stopping
            lineage = tuple(self._caller.lineage()) if self._caller is not None else ()
            if self._gate is None and other is not None:
                if other in lineage or (self._thread and other.thread == self._thread):
                    return None  # a shutdown hook, or a signal handler amid a stop, that stops something itself
                return self._pause(other)
            if self._gate is None:
                self._gate = state.stopping = Operation(None, Phase.STOP_ALL, self._caller)
                self._gate.thread = self._thread
            for operation in tuple(state.running.values()):
                if operation.phase.is_starting and not self._would_wait_for_me(operation):
                    return self._pause(operation)
            return None

    def _pause(self, operation: Operation) -> Wait:
        try:
            check_wait(operation, self._caller, self._blocked_loop, tuple, self._thread)
        except BaseException:
            self.end()
            raise
        entered = waiting(self._gate or self._caller, operation, self._blocked_loop)
        entered.__enter__()
        return Wait(operation, entered)

    def _would_wait_for_me(self, operation: Operation) -> bool:
        if self._caller is not None and find_wait(operation, self._caller, None) is not None:
            return True
        return self._thread != 0 and find_wait(operation, None, None, self._thread) is not None

    def next_stop(self) -> tuple[Operation, Record] | None:
        """Take the service that started last off the list, or return None when none is left."""
        with lock:
            if len(state.started) != self._count:  # at first, and when a hook started something
                self._queue = [
                    service
                    for service in self._chosen()
                    if service not in self._stopped and service not in state.running
                ]
            while self._queue:
                service = self._queue.pop()
                record = state.started.pop(service, None)
                if record is None:
                    continue  # a hook forced it to start anew, and is at it
                self._stopped.add(service)
                self._count = len(state.started)
                service._initialized = False
                service._home = None
                operation = Operation(service, Phase.SHUTDOWN, self._gate or self._caller)
                operation.thread = self._thread
                state.running[service] = operation
                return operation, record
            return None

    def _chosen(self) -> list[Service]:
        if self._services is None:
            return list(state.started)
        return with_dependents(
            self._services, tuple(state.started), lambda service: (*needs(service), *state.started[service].used)
        )

    def closing(self, operation: Operation) -> _Closing:
        return _Closing(operation, self._errors)

    def end(self) -> None:
        if self._gate is not None:
            with lock:
                if state.stopping is self._gate:
                    state.stopping = None
            self._gate.close()
            self._gate = None

    def raise_errors(self) -> None:
        if self._errors:
            count = len(self._errors)
            raise ServiceShutdownError(f"{count} service{'s' if count > 1 else ''} failed to shut down", self._errors)


class _Closing:
    """One service going down: whatever its hook does, the next one follows."""

    __slots__ = ("_errors", "_operation")

    def __init__(self, operation: Operation, errors: list[Exception]) -> None:
        self._operation = operation
        self._errors = errors

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        service = self._operation.service
        with lock:
            if service is not None and state.running.get(service) is self._operation:
                del state.running[service]
        self._operation.close()
        if isinstance(error, Exception):
            name = service.__name__ if service is not None else "stop"
            error.add_note(f"raised by {name}.shutdown()")
            self._errors.append(error)
            return True
        return False


def _shut_down(operation: Operation, record: Record, timeout_s: float, helper: BoundedThread) -> None:
    service: Any = operation.service
    if _hooks.is_default(service, "shutdown"):
        return
    deadline = time.monotonic() + timeout_s
    hook = service.shutdown
    answer = hook() if _hooks.is_async(hook) else helper.run(hook, timeout_s)
    if not _hooks.is_awaitable(answer):
        return
    loop = _take_loop(operation, record)
    remaining_s = max(0.0, deadline - time.monotonic())
    if loop is not None:
        run_on(loop, answer, remaining_s)
    else:
        helper.run(lambda: run_fresh_for(answer, remaining_s), timeout_s)


async def _shut_down_awaiting(operation: Operation, record: Record, timeout_s: float, here: AbstractEventLoop) -> None:
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    service: Any = operation.service
    if _hooks.is_default(service, "shutdown"):
        return
    if not _hooks.is_async(service.shutdown):
        answer = await in_thread(lambda: run_bounded(service.shutdown, timeout_s), outlives_cancellation=True)
    else:
        answer = service.shutdown()
    if not _hooks.is_awaitable(answer):
        return
    if record.loop is None or record.loop is here:
        with lock:
            operation.loop = here
        async with asyncio.timeout(timeout_s):
            await answer
        return
    loop = _take_loop(operation, record)
    if loop is not None:
        await in_thread(lambda: run_on(loop, answer, timeout_s))
    else:
        await in_thread(lambda: run_bounded(lambda: run_fresh_for(answer, timeout_s), timeout_s))


def _take_loop(operation: Operation, record: Record) -> AbstractEventLoop | None:
    """Give *operation* the loop its service was started on, if it runs and is not blocked."""
    with lock:
        if record.loop is None or record.loop is running_loop() or not is_usable(record.loop):
            return None
        operation.loop = record.loop
        return record.loop
