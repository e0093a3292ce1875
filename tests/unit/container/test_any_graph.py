"""Random graphs, random failures, plain and async hooks, several threads and loops at once.

Services may use each other in their hooks without declaring it, in any direction: what cannot
work must be refused, and what can must work, but nothing may ever hang.
"""

from __future__ import annotations

import asyncio
import faulthandler
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from singleton_service import BaseService, guarded, requires, stop
from singleton_service._operations import state
from singleton_service.exceptions import CircularDependencyError, ServiceError, ServiceInitializationError
from singleton_service.testing import reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(120)
PATIENCE_S = 20


@dataclass(frozen=True)
class Plan:
    """One service to be made."""

    needs: frozenset[int]
    """Declared; lower numbers only."""
    uses: frozenset[int]
    """Called in initialize without being declared."""
    is_async: bool
    uses_by_awaiting: bool
    failing_starts: int
    failing_pings: int


@dataclass
class World:
    """The services of one example and everything that happened to them, in order."""

    plans: list[Plan]
    services: list[type[Any]] = field(default_factory=list)
    events: list[tuple[str, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, number: int) -> None:
        with self.lock:
            self.events.append((what, number))


@st.composite
def plans(draw: st.DrawFn, *, rings: bool) -> list[Plan]:
    size = draw(st.integers(1, 7))
    # A plain call in an async hook may bring up the container's second loop, and what lives there
    # refuses to be awaited from the first. So without rings, where all must work, hooks do one or the other.
    awaits = st.booleans() if rings else st.just(draw(st.booleans()))

    def some(limit: int) -> frozenset[int]:
        return draw(st.frozensets(st.integers(0, limit - 1), max_size=3)) if limit else frozenset()

    return [
        Plan(
            needs=some(number),
            uses=some(size if rings else number),
            is_async=draw(st.booleans()),
            uses_by_awaiting=draw(awaits),
            failing_starts=draw(st.sampled_from([0, 0, 0, 1, 2])),
            failing_pings=draw(st.sampled_from([0, 0, 0, 1])),
        )
        for number in range(size)
    ]


def build(given_plans: list[Plan]) -> World:
    world = World(given_plans)
    for number, plan in enumerate(given_plans):
        world.services.append(_service(world, number, plan))
    return world


class Hooks:
    """What one service does in its hooks."""

    def __init__(self, world: World, number: int, plan: Plan) -> None:
        self.world, self.number, self.plan = world, number, plan
        self.failures = {"begin": plan.failing_starts, "up": plan.failing_pings}

    def judge(self, what: str) -> bool:
        if self.failures[what]:
            self.failures[what] -= 1
            return False
        return True

    @contextmanager
    def beginning(self) -> Iterator[list[type[Any]]]:
        """Lend the services to use; fail afterwards, if it is time to."""
        self.world.note("begin", self.number)
        try:
            yield [self.world.services[used] for used in sorted(self.plan.uses)]
            self.fail_if_due()
        except BaseException:
            self.world.note("fail", self.number)
            raise

    def fail_if_due(self) -> None:
        if not self.judge("begin"):
            raise OSError(self.number)

    def initialize(self) -> None:
        with self.beginning() as used:
            for service in used:
                service.call()

    async def initialize_async(self) -> None:
        with self.beginning() as used:
            for service in used:
                await asyncio.sleep(0)
                if self.plan.uses_by_awaiting:
                    await service.call_async()
                else:
                    service.call()

    def ping(self) -> bool:
        answer = self.judge("up")
        self.world.note("up" if answer else "fail", self.number)
        return answer

    async def ping_async(self) -> bool:
        await asyncio.sleep(0)
        return self.ping()

    def shutdown(self) -> None:
        self.world.note("down", self.number)

    async def shutdown_async(self) -> None:
        self.shutdown()
        await asyncio.sleep(0)


def _service(world: World, number: int, plan: Plan) -> type[Any]:
    hooks = Hooks(world, number, plan)

    async def initialize_async(_cls: type) -> None:
        await hooks.initialize_async()

    async def ping_async(_cls: type) -> bool:
        return await hooks.ping_async()

    async def shutdown_async(_cls: type) -> None:
        await hooks.shutdown_async()

    members = {
        "initialize": classmethod(initialize_async if plan.is_async else lambda _cls: hooks.initialize()),
        "ping": classmethod(ping_async if plan.is_async else lambda _cls: hooks.ping()),
        "shutdown": classmethod(shutdown_async if plan.is_async else lambda _cls: hooks.shutdown()),
        "call": classmethod(guarded(lambda _cls: number)),
        "call_async": classmethod(guarded(_answer_async)),
    }
    made = type(f"S{number}", (BaseService,), members)
    return requires(*(world.services[needed] for needed in sorted(plan.needs)))(made) if plan.needs else made


async def _answer_async(cls: type) -> str:
    return cls.__name__


def storm(calls: list[Callable[[], object]]) -> list[BaseException | None]:
    """Make all calls at once, each in a thread of its own; fail loudly when one does not end."""
    barrier = threading.Barrier(len(calls))
    outcomes: list[BaseException | None] = [None] * len(calls)

    def make(index: int) -> None:
        barrier.wait(PATIENCE_S)
        try:
            calls[index]()
        except BaseException as error:
            outcomes[index] = error

    threads = [threading.Thread(target=make, args=(index,), daemon=True) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    if any(thread.is_alive() for thread in threads):
        faulthandler.dump_traceback(sys.stderr)
        pytest.fail("deadlock: a call did not end")
    return outcomes


def replay(world: World) -> list[int]:
    """Check what happened against the rules; return what is up."""
    up: list[int] = []
    starting: set[int] = set()
    for what, number in world.events:
        if what == "begin":
            assert number not in up, f"S{number} began a second time while it was up"
            assert number not in starting, f"S{number} was started twice at once"
            assert world.plans[number].needs <= set(up), f"S{number} began before what it needs"
            starting.add(number)
        elif what == "fail":
            starting.remove(number)
        elif what == "up":
            starting.remove(number)
            up.append(number)
        else:
            up.remove(number)
            assert not any(number in world.plans[other].needs for other in up), f"S{number} went down too early"
    assert not starting, "something was left half-started"
    return up


def stop_all(world: World) -> None:
    """Stop everything, and check that it goes down in exact reverse of how it came up."""
    came_up = [world.services.index(service) for service in state.started]
    seen = len(world.events)
    stop()
    assert [number for _, number in world.events[seen:]] == came_up[::-1]
    assert replay(world) == []


def as_calls(world: World, targets: list[tuple[int, bool]]) -> list[Callable[[], object]]:
    services = [(world.services[number % len(world.services)], is_async) for number, is_async in targets]
    return [partial(_run_async, service) if is_async else service.call for service, is_async in services]


def _run_async(service: type[Any]) -> object:
    return asyncio.run(service.call_async())


targets = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=6)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(plans=plans(rings=False), targets=targets)
def test_any_graph_without_rings_starts_in_order_once_and_stops_in_reverse(
    plans: list[Plan], targets: list[tuple[int, bool]]
) -> None:
    world = build(plans)
    try:
        for error in storm(as_calls(world, targets)):
            assert error is None or isinstance(error, ServiceError)
            assert not isinstance(error, CircularDependencyError)
        up = replay(world)
        assert up == [number for number in up if world.services[number]._initialized]

        stop_all(world)

        # Whatever failed is tried again, until everything is up.
        for _ in range(sum(plan.failing_starts + plan.failing_pings for plan in plans) + 1):
            for service in world.services:
                with suppress(ServiceInitializationError):
                    service.call()
        assert all(service._initialized for service in world.services)

        assert sorted(replay(world)) == list(range(len(plans)))
        stop_all(world)
        assert not any(service._initialized for service in world.services)
    finally:
        reset()


@quick
@given(plans=plans(rings=True), targets=targets)
def test_any_graph_with_hidden_rings_never_hangs_and_leaves_nothing_half_started(
    plans: list[Plan], targets: list[tuple[int, bool]]
) -> None:
    world = build(plans)
    try:
        for error in storm([*as_calls(world, targets), stop, stop]):
            assert error is None or isinstance(error, ServiceError)
        up = replay(world)
        assert {number for number, service in enumerate(world.services) if service._initialized} == set(up)
        stop_all(world)
    finally:
        reset()
