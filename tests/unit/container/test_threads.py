"""Many threads, one start; never a deadlock, whatever the interleaving."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import BaseService, start, stop
from singleton_service.exceptions import (
    CircularDependencyError,
    ServiceError,
    ServiceInitializationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Journal, Workshop

pytestmark = pytest.mark.timeout(30)
PATIENCE_S = 10


def in_threads(*functions: Callable[[], Any]) -> list[Future[Any]]:
    """Run every function in a thread of its own, all at once, until all are done."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        barrier.wait(PATIENCE_S)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(run, function) for function in functions]
        for future in futures:
            future.exception(PATIENCE_S)
    return futures


def test_a_service_starts_once_however_many_threads_call_at_once(workshop: Workshop, journal: Journal) -> None:
    everybody_came = threading.Event()
    base = workshop.service("Base", initialize=lambda: everybody_came.wait(0.05))
    left, right = workshop.service("Left", base), workshop.service("Right", base)
    top = workshop.service("Top", left, right)

    calls = in_threads(*(service.call for service in (top, left, right, base) * 4))

    assert [call.result() for call in calls] == ["Top", "Left", "Right", "Base"] * 4
    assert sorted(journal.lines) == ["+Base", "+Left", "+Right", "+Top"]
    assert journal.lines[0] == "+Base"
    assert journal.lines[-1] == "+Top"


def test_unrelated_services_start_at_the_same_time(workshop: Workshop) -> None:
    both_are_starting = threading.Barrier(2)
    a = workshop.service("A", initialize=lambda: both_are_starting.wait(PATIENCE_S))
    b = workshop.service("B", initialize=lambda: both_are_starting.wait(PATIENCE_S))
    for call in in_threads(a.call, b.call):
        call.result()


def test_waiting_threads_get_the_error_of_the_one_that_tried(workshop: Workshop, journal: Journal) -> None:
    cause = OSError("no route")
    is_waited_for = threading.Event()

    def initialize() -> None:
        is_waited_for.wait(0.2)
        raise cause

    queue = workshop.service("Queue", initialize=initialize)
    worker = workshop.service("Worker", queue)

    errors = [call.exception() for call in in_threads(*[queue.call, worker.call] * 4)]

    assert all(isinstance(error, ServiceInitializationError) for error in errors)
    assert all(error is not None and error.__cause__ is cause for error in errors)
    assert {error.service for error in errors if isinstance(error, ServiceInitializationError)} == {queue}
    assert len({id(error) for error in errors}) == len(errors)  # tracebacks do not mix
    assert journal.count("+Queue") == 1


def test_an_interrupted_start_is_taken_over_by_a_waiting_thread(workshop: Workshop, journal: Journal) -> None:
    is_starting, may_fail = threading.Event(), threading.Event()
    attempts: list[int] = []

    def initialize() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            is_starting.set()
            may_fail.wait(PATIENCE_S)
            raise KeyboardInterrupt

    service = workshop.service("Service", initialize=initialize)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.call)
        assert is_starting.wait(PATIENCE_S)
        second = pool.submit(service.call)
        may_fail.set()
        assert isinstance(first.exception(PATIENCE_S), KeyboardInterrupt)
        assert second.result(PATIENCE_S) == "Service"
    assert journal.count("+Service") == 2


def test_two_threads_entering_a_hidden_ring_from_both_sides_do_not_deadlock() -> None:
    both_are_starting = threading.Barrier(2)

    class Left(BaseService):
        @classmethod
        def initialize(cls) -> None:
            both_are_starting.wait(PATIENCE_S)
            start(Right)

    class Right(BaseService):
        @classmethod
        def initialize(cls) -> None:
            both_are_starting.wait(PATIENCE_S)
            start(Left)

    calls = in_threads(lambda: start(Left), lambda: start(Right))

    errors = [call.exception() for call in calls]
    assert any(isinstance(error, CircularDependencyError) for error in errors)
    assert all(isinstance(error, ServiceError) for error in errors)
    assert {Left._initialized, Right._initialized} == {False}


def test_a_hidden_diamond_entered_from_both_sides_starts_everything_once(workshop: Workshop, journal: Journal) -> None:
    both_are_starting = threading.Barrier(2)
    base = workshop.service("Base")

    def needs_base() -> None:
        both_are_starting.wait(PATIENCE_S)
        base.call()

    left, right = (workshop.service(name, initialize=needs_base) for name in ("Left", "Right"))
    for call in in_threads(left.call, right.call):
        call.result()
    assert sorted(journal.lines) == ["+Base", "+Left", "+Right"]


def test_a_hook_may_let_other_threads_use_other_services(workshop: Workshop, journal: Journal) -> None:
    other = workshop.service("Other")

    def initialize() -> None:
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(lambda _: other.call(), range(4))) == ["Other"] * 4

    workshop.service("Service", initialize=initialize).call()
    assert sorted(journal.lines) == ["+Other", "+Service"]


def test_a_stop_waits_for_the_start_under_way(workshop: Workshop, journal: Journal) -> None:
    is_starting, may_finish = threading.Event(), threading.Event()

    def initialize() -> None:
        is_starting.set()
        may_finish.wait(PATIENCE_S)

    service = workshop.service("Service", initialize=initialize)
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(service.call)
        assert is_starting.wait(PATIENCE_S)
        stopping = pool.submit(stop)
        may_finish.set()
        assert call.result(PATIENCE_S) == "Service"
        stopping.result(PATIENCE_S)
    assert journal.lines == ["+Service", "-Service"]
    assert not service._initialized


def test_a_call_during_a_stop_waits_and_then_starts_anew(workshop: Workshop, journal: Journal) -> None:
    is_stopping, may_finish = threading.Event(), threading.Event()

    def shutdown() -> None:
        is_stopping.set()
        may_finish.wait(PATIENCE_S)

    service = workshop.service("Service", shutdown=shutdown)
    service.call()
    with ThreadPoolExecutor(2) as pool:
        stopping = pool.submit(stop)
        assert is_stopping.wait(PATIENCE_S)
        call = pool.submit(service.call)
        may_finish.set()
        stopping.result(PATIENCE_S)
        assert call.result(PATIENCE_S) == "Service"
    assert journal.lines == ["+Service", "-Service", "+Service"]


def test_a_plan_overtaken_by_a_stop_is_made_again(workshop: Workshop, journal: Journal) -> None:
    is_starting, may_finish = threading.Event(), threading.Event()

    def initialize() -> None:
        is_starting.set()
        may_finish.wait(PATIENCE_S)

    base = workshop.service("Base")
    middle = workshop.service("Middle", base, initialize=initialize)
    top = workshop.service("Top", middle)
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(top.call)
        assert is_starting.wait(PATIENCE_S)
        stopping = pool.submit(stop)
        may_finish.set()
        stopping.result(PATIENCE_S)
        assert call.result(PATIENCE_S) == "Top"
    assert base._initialized
    assert middle._initialized
    assert top._initialized
    # Whichever came first, nothing started above something that was not.
    up: set[str] = set()
    needed = {"Base": set(), "Middle": {"Base"}, "Top": {"Middle"}}
    for sign, name in ((line[0], line[1:]) for line in journal.lines):
        if sign == "+":
            assert needed[name] <= up
            up.add(name)
        else:
            up.remove(name)


def test_two_stops_at_once_run_each_shutdown_once(workshop: Workshop, journal: Journal) -> None:
    base = workshop.service("Base")
    start(workshop.service("Left", base), workshop.service("Right", base))
    for call in in_threads(stop, stop, stop):
        call.result()
    assert journal.lines == ["+Base", "+Left", "+Right", "-Right", "-Left", "-Base"]
