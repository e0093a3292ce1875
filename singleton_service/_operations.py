"""What is being started and stopped right now, who waits for whom, and what is up.

An `Operation` is one start of one service, one stop of one service, or a whole ``stop()`` (which
has no service). Everything is recorded under one lock that is held for bookkeeping only, never
while a hook runs. Because every wait is recorded before it begins, a wait that would never end is
known beforehand and refused: `check_wait` follows the edges

* operation -> operation its hook waits for or runs inside itself,
* operation -> what blocks the event loop that its hook needs.

The lock is reentrant because a signal handler may call a service while its thread holds it.
"""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from enum import Enum

from .exceptions import (
    CircularDependencyError,
    DependencyNotInitializedError,
    SelfDependencyError,
    ServiceError,
    ServiceNotInitializedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ._service import BaseService

    Service = type[BaseService]

__all__ = [
    "Operation",
    "Phase",
    "Record",
    "active",
    "blocking",
    "check_wait",
    "find_wait",
    "inside",
    "lock",
    "state",
    "waiting",
]

lock = threading.RLock()
_current: ContextVar[Operation | None] = ContextVar("singleton_service_operation", default=None)


class Phase(Enum):
    """How far an operation has come."""

    INITIALIZE = "initialize"
    PING = "ping"
    SHUTDOWN = "shutdown"
    STOP_ALL = "stop"
    DONE = "done"

    @property
    def is_starting(self) -> bool:
        return self in (Phase.INITIALIZE, Phase.PING)


class Operation:
    """One start or stop under way. Fields are read and written under `lock`."""

    __slots__ = ("_on_done", "error", "loop", "parent", "phase", "service", "thread", "used", "waits")

    def __init__(self, service: Service | None, phase: Phase, parent: Operation | None) -> None:
        self.service = service
        self.phase = phase
        self.parent = parent
        self.thread = threading.get_ident()  # whose plain call this is; 0 if it is a task that awaits it
        self.waits: list[Operation] = []
        self.loop: AbstractEventLoop | None = None  # the event loop its hooks need in order to go on
        self.error: ServiceError | None = None
        self.used: set[Service] = set()  # what its hooks started without having declared it
        self._on_done: list[Callable[[], None]] = []
        if parent is not None:
            parent.waits.append(self)

    @property
    def is_done(self) -> bool:
        return self.phase is Phase.DONE

    def lineage(self) -> Iterator[Operation]:
        """Yield this operation and those whose hooks it runs inside of."""
        step: Operation | None = self
        while step is not None:
            yield step
            step = step.parent

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call *callback* once this is done; at once if it is already. Any thread."""
        with lock:
            if not self.is_done:
                self._on_done.append(callback)
                return
        callback()

    def close(self) -> None:
        """Mark as done and wake everybody who waits."""
        with lock:
            self.phase = Phase.DONE
            self.loop = None
            self.thread = 0
            if self.parent is not None and self in self.parent.waits:
                self.parent.waits.remove(self)
            callbacks, self._on_done = self._on_done, []
        for callback in callbacks:
            callback()


class Record:
    """What is remembered of a started service."""

    __slots__ = ("loop", "seconds", "started_at", "used")

    def __init__(self, loop: AbstractEventLoop | None, started_at: float, seconds: float, used: set[Service]) -> None:
        self.loop = loop
        self.started_at = started_at  # seconds since the epoch
        self.seconds = seconds  # what the hooks took
        self.used = used  # started from inside its hooks without being declared


class State:
    """Everything the container knows of this process."""

    __slots__ = ("blocked", "deferred", "overrides", "running", "started", "stopping")

    def __init__(self) -> None:
        self.overrides: dict[Service, Any] = {}  # see testing.override
        self.forget()

    def forget(self) -> None:
        """Begin anew, in the same object: other modules hold it."""
        self.started: dict[Service, Record] = {}  # in order of completion
        self.running: dict[Service, Operation] = {}
        self.stopping: Operation | None = None
        # Starts that somebody puts off until they can succeed, and how to give them up: every stop of theirs does.
        self.deferred: dict[Service, Callable[[], object]] = {}
        # Event loops whose thread sits in a plain call, with what each of those calls waits for.
        self.blocked: dict[AbstractEventLoop, list[Operation]] = {}


state = State()


def active() -> Operation | None:
    """Return the operation whose hook this code runs in, or None.

    Tasks and copied contexts that outlive the hook are not part of it any more.
    """
    operation = _current.get()
    return None if operation is None or operation.is_done else operation


class inside:  # noqa: N801 - used like a function: `with inside(operation):`
    """Mark the code in the block as running in *operation*'s hook."""

    __slots__ = ("_operation", "_token")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        self._token = _current.set(self._operation)

    def __exit__(self, *_exc: object) -> None:
        _current.reset(self._token)


class blocking:  # noqa: N801 - used like a function
    """Say that *loop*'s thread sits in a plain call until *operation* is done."""

    __slots__ = ("_loop", "_operation")

    def __init__(self, loop: AbstractEventLoop | None, operation: Operation) -> None:
        self._loop = loop
        self._operation = operation

    def __enter__(self) -> None:
        if self._loop is not None:
            with lock:
                state.blocked.setdefault(self._loop, []).append(self._operation)

    def __exit__(self, *_exc: object) -> None:
        if self._loop is not None:
            with lock:
                waits = state.blocked.get(self._loop, [])
                if self._operation in waits:
                    waits.remove(self._operation)
                if not waits:
                    state.blocked.pop(self._loop, None)


class waiting:  # noqa: N801 - used like a function
    """Record that *waiter* (None: nobody's hook) waits for *target*, on *loop*'s thread if given.

    Enter it under `lock`, in the same section that saw *target* unfinished.
    """

    __slots__ = ("_blocking", "_target", "_waiter")

    def __init__(self, waiter: Operation | None, target: Operation, loop: AbstractEventLoop | None) -> None:
        self._waiter = waiter
        self._target = target
        self._blocking = blocking(loop, target)

    def __enter__(self) -> None:
        if self._waiter is not None:
            self._waiter.waits.append(self._target)
        self._blocking.__enter__()

    def __exit__(self, *_exc: object) -> None:
        self._blocking.__exit__()
        with lock:
            if self._waiter is not None and self._target in self._waiter.waits:
                self._waiter.waits.remove(self._target)


def _next(operation: Operation) -> Iterator[Operation]:
    yield from operation.waits
    if operation.loop is not None:
        yield from state.blocked.get(operation.loop, ())


def find_wait(
    target: Operation, waiter: Operation | None, loop: AbstractEventLoop | None, thread: int = 0
) -> tuple[Operation, ...] | None:
    """Return the chain from *target* to what could only go on after the wait, or None. Under `lock`.

    Args:
        target: What is to be waited for.
        waiter: In whose hook the wait is.
        loop: The event loop whose thread the wait would block.
        thread: The thread that the wait would block. Its own operations matter where a signal handler
            interrupts it between two lines of this package.
    """
    came_from: dict[Operation, Operation | None] = {target: None}
    frontier = [target]
    while frontier:
        operation = frontier.pop()
        if operation is waiter or (loop and operation.loop is loop) or (thread and operation.thread == thread):
            chain: list[Operation] = []
            step: Operation | None = operation
            while step is not None:
                chain.append(step)
                step = came_from[step]
            return tuple(reversed(chain))
        for following in _next(operation):
            if following not in came_from:
                came_from[following] = operation
                frontier.append(following)
    return None


def check_wait(
    target: Operation,
    waiter: Operation | None,
    loop: AbstractEventLoop | None,
    way: Callable[[], Iterable[Service]],
    thread: int = 0,
) -> None:
    """Refuse a wait that would never end. Under `lock`.

    Args:
        target: What is to be waited for.
        waiter: In whose hook the wait is.
        loop: The event loop whose thread the wait would block.
        way: Gives the services from the one that was called to the one *target* starts.
        thread: The thread that the wait would block, or 0.

    Raises:
        SelfDependencyError: A service's own hook needs that service started.
        CircularDependencyError: The hooks of several services wait for each other.
        ServiceNotInitializedError: *target* needs the event loop or the thread that the wait would block.
    """
    chain = find_wait(target, waiter, loop) or find_wait(target, None, None, thread)
    if chain is None:
        return
    called = tuple(way())
    if waiter is None or waiter.service is None or chain[-1] is not waiter:
        busy = chain[-1].service or called[-1]
        wanted = called[0] if called else busy
        kind = ServiceNotInitializedError if busy is wanted else DependencyNotInitializedError
        raise kind(wanted, busy)
    onwards = (step.service for step in chain if step.service is not None)
    path = tuple(_without_repeats((*onwards, *called)))
    if len(path) == 1:
        raise SelfDependencyError(waiter.service)
    raise CircularDependencyError(path)


def _without_repeats(path: Iterable[Service]) -> Iterator[Service]:
    last: Service | None = None
    for service in path:
        if service is not last:
            yield service
        last = service


def _forget_everything_after_fork() -> None:
    """Let a forked child start its own services.

    The parent's threads, event loops and half-done starts do not exist here, and a socket that
    two processes read from serves neither.
    """
    for operation in (*state.running.values(), *filter(None, (state.stopping,))):
        operation.phase = Phase.DONE
    for service in state.started:
        service._initialized = False
        service._home = None
    state.forget()
    for hook in after_fork:
        hook()
    lock.release()


# What else must let go of the parent's things, in a forked child.
after_fork: list[Callable[[], None]] = []


# Holding the lock across the fork means that no other thread is in the middle of a change.
os.register_at_fork(
    before=lock.acquire,
    after_in_parent=lock.release,
    after_in_child=_forget_everything_after_fork,
)
