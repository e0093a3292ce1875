"""What the package finds in the place of threads, locks, clocks and dice while it is on a stage."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from math import inf
from queue import Empty
from typing import TYPE_CHECKING, Any
from unittest import mock

from singleton_service.background.task_queue import (
    client,
    consuming,
    heartbeat,
    ids,
    joint,
    leases,
    link,
    outage,
    producing,
    pulse,
    wall_clock,
)
from singleton_service.background.worker import (
    crew,
    dispatcher,
    dispatcher_loop,
    execution,
    fetching,
    pool,
    seat,
    time_limits,
    wakeup,
    watch,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from .network import Connection
    from .stage import Actor, Stage

_ASK_THE_TIME = (
    client,
    consuming,
    heartbeat,
    link,
    pulse,
    wall_clock,
    dispatcher,
    fetching,
    pool,
    execution,
    time_limits,
    wakeup,
)
_MAKE_THREADS = (joint, leases, heartbeat, dispatcher, pool, crew, time_limits, watch)


class Waiting:
    """Threads that wait for a condition; whoever may have made it true calls `look`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._actors: list[Actor] = []

    def until(self, condition: Callable[[], Any], timeout_s: float | None = None) -> bool:
        ends_s = inf if timeout_s is None else self._stage.now_s + timeout_s
        me = self._stage._current
        self._actors.append(me)
        try:
            while not condition():
                if self._stage.now_s >= ends_s:
                    return False
                self._stage.wait(ends_s)
        finally:
            self._actors.remove(me)
        return True

    def look(self) -> None:
        for actor in self._actors:
            self._stage.wake(actor)


class Event:
    """threading.Event."""

    def __init__(self, stage: Stage) -> None:
        self._waiting = Waiting(stage)
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._waiting.look()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._waiting.until(self.is_set, timeout)


class Lock:
    """threading.Lock."""

    def __init__(self, stage: Stage) -> None:
        self._waiting = Waiting(stage)
        self._is_free = True

    def acquire(self, *, blocking: bool = True, timeout: float | None = None) -> bool:
        if not self._waiting.until(lambda: self._is_free, timeout if blocking else 0.0):
            return False
        self._is_free = False
        return True

    def release(self) -> None:
        self._is_free = True
        self._waiting.look()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    """threading.Condition: between two waits nobody else has a turn, so there is nothing to lock."""

    def __init__(self, stage: Stage) -> None:
        self._waiting = Waiting(stage)
        self._is_notified = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def notify(self) -> None:
        self._is_notified = True
        self._waiting.look()

    def wait(self, timeout: float | None = None) -> bool:
        self._is_notified = False
        return self._waiting.until(lambda: self._is_notified, timeout)


class Inbox:
    """queue.SimpleQueue."""

    def __init__(self, stage: Stage) -> None:
        self._waiting = Waiting(stage)
        self._items: list[Any] = []

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._waiting.look()

    def get(self) -> Any:
        self._waiting.until(lambda: self._items)
        return self._items.pop(0)

    def get_nowait(self) -> Any:
        if not self._items:
            raise Empty
        return self._items.pop(0)


class Bell:
    """The package's own Bell."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._waiting = Waiting(stage)
        self._has_rung = False

    def ring(self) -> None:
        self._has_rung = True
        self._waiting.look()

    def listen(self, link: Any, timeout_s: float) -> bool:
        connection: Connection | None = link._connection if link is not None else None
        if connection is not None:
            connection.on_answer = self._waiting.look
        self._waiting.until(lambda: self._has_rung or (connection is not None and connection.has_reply()), timeout_s)
        self._has_rung = False
        return connection is not None and connection.has_reply()

    def close(self) -> None:
        pass


class Thread:
    """threading.Thread."""

    def __init__(self, stage: Stage, target: Callable[..., object], args: tuple[Any, ...] = (), **named: Any) -> None:
        self.name: str = named.get("name", "thread")
        self._stage = stage
        self._run = lambda: target(*args)
        self._actor: Actor | None = None

    def start(self) -> None:
        self._actor = self._stage.spawn(self._stage.here, self._run, f"{self._stage.here.name}-{self.name}")

    @property
    def ident(self) -> int | None:
        return None if self._actor is None else id(self._actor)

    def is_alive(self) -> bool:
        return self._actor is not None and not self._actor.is_over

    def join(self, timeout: float | None = None) -> None:
        assert self._actor is not None
        ends_s = inf if timeout is None else self._stage.now_s + timeout
        self._actor.end.append(self._stage._current)
        while self.is_alive() and self._stage.now_s < ends_s:
            self._stage.wait(ends_s)


class Server:
    """singleton_service.workers.Server, of workers that do not die but with their process."""

    def __init__(self, stage: Stage, *_: object, **__: object) -> None:
        self._stage = stage
        self._threads: list[Thread] = []

    def add_worker(self, worker: Any) -> None:
        self._threads.append(Thread(self._stage, worker.main, name=worker.name))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        pass

    def join_all(self) -> bool:
        for thread in self._threads:
            thread.join()
        return True


class Clock:
    """The module time."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def time(self) -> float:
        return self._stage.now_s

    monotonic = perf_counter = time

    def time_ns(self) -> int:
        return round(self._stage.now_s * 1e9)

    def sleep(self, seconds: float) -> None:
        ends_s = self._stage.now_s + seconds
        while self._stage.now_s < ends_s:
            self._stage.wait(ends_s)


class _Module:
    """A stand-in for a module: these names of its, all else as it is."""

    def __init__(self, original: Any, **names: Any) -> None:
        self._original = original
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


@contextmanager
def standing_in(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Have the package's threads, clocks and dice be this stage's."""

    def of_stage(kind: type[Any]) -> Callable[..., Any]:
        return lambda *args, **named: kind(stage, *args, **named)

    clock = Clock(stage)
    threads = _Module(
        threading,
        Condition=of_stage(Condition),
        Event=of_stage(Event),
        Lock=of_stage(Lock),
        Thread=of_stage(Thread),
    )
    idents = _Module(threading, get_ident=lambda: id(stage._current))
    noise = _Module(os, urandom=chance.randbytes)
    replaced: list[tuple[Any, str, Any]] = [
        *((module, "time", clock) for module in _ASK_THE_TIME),
        *((module, "threading", threads) for module in _MAKE_THREADS),
        (seat, "threading", idents),
        (seat, "throw_if_harmless", stage.throw),
        (seat, "take_back", stage.take_back),
        (pool, "SimpleQueue", of_stage(Inbox)),
        (wakeup, "Bell", of_stage(Bell)),
        (dispatcher_loop, "Server", of_stage(Server)),
        (link, "Wire", lambda connection, _write_timeout_s, patience_s: connection.patiently(patience_s)),
        (ids, "os", noise),
        (ids, "_noises", []),
        (outage, "random", chance),
        # Even what is enqueued here goes in several.
        (producing, "FLOW_BATCH", 4),
    ]
    with replacing(replaced):
        yield


@contextmanager
def replacing(replaced: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Put all of these in the place of what is there, and back at the end."""
    patches = [mock.patch.object(*each) for each in replaced]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
