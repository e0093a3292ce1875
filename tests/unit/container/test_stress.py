"""Many threads doing everything at once, for a while: no error, no leak."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import BaseService, health, running, start, stop
from singleton_service._operations import state
from singleton_service.testing import override

if TYPE_CHECKING:
    from .conftest import Workshop

pytestmark = pytest.mark.timeout(120)
THREADS = 32
ROUNDS = 1000
PATIENCE_S = 60


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208


def work(services: list[type[Any]], fake: type[Any], seed: int, rounds: int) -> None:
    draw = random.Random(seed)
    for _ in range(rounds):
        service = draw.choice(services)
        action = draw.randrange(8)
        if action == 0:
            stop(service)
        elif action == 1:
            stop()
        elif action == 2:
            with override(service, fake):
                service.call()
        elif action == 3:
            with running(service):
                service.call()
        elif action == 4:
            health()
        elif action == 5:
            start(*services)
        else:
            assert service.call() in ("Fake", service.__name__)


def storm(services: list[type[Any]], fake: type[Any], rounds: int) -> list[BaseException]:
    errors: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            work(services, fake, seed, rounds)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(seed,), daemon=True) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "deadlock: a thread did not end"
    return errors


def test_a_storm_of_starts_calls_stops_and_overrides_leaves_no_error_and_no_leak(workshop: Workshop) -> None:
    base = workshop.service("Base")
    left, right = workshop.service("Left", base), workshop.service("Right", base, is_async=True)
    top = workshop.service("Top", left, right)
    other = workshop.service("Other", is_async=True)
    fake = workshop.service("Fake")
    services = [base, left, right, top, other]

    assert storm(services, fake, 1) == []  # loads and caches what is loaded and cached once
    stop()
    gc.collect()
    before = threading.active_count(), open_files(), len(gc.get_objects())

    assert storm(services, fake, ROUNDS // THREADS) == []

    stop()
    assert not state.started
    assert not state.running
    assert not state.overrides
    assert not state.blocked
    assert state.stopping is None
    workshop.journal.lines.clear()
    gc.collect()
    after = threading.active_count(), open_files(), len(gc.get_objects())
    # Fewer, when one that an earlier test left has ended meanwhile.
    assert after[0] <= before[0]
    assert after[1] <= before[1]
    assert after[2] < before[2] + 500


def test_tasks_that_start_and_are_cancelled_leave_nothing_behind(workshop: Workshop) -> None:
    async def pause() -> None:
        await asyncio.sleep(0.001)

    base = workshop.service("Base", initialize=pause, is_async=True)
    top = workshop.service("Top", base)

    async def disturbed(draw: random.Random) -> None:
        call = asyncio.create_task(top.call_async())
        await asyncio.sleep(draw.random() * 0.003)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call

    async def main() -> None:
        draw = random.Random(1)
        for _ in range(20):
            async with running():
                await asyncio.gather(*(disturbed(draw) for _ in range(20)))
                assert await top.call_async() == "Top"
        assert not state.running
        assert not state.started

    asyncio.run(main())


def test_services_that_are_no_longer_referred_to_are_freed() -> None:
    def make() -> int:
        class Service(BaseService): ...

        start(Service)
        stop(Service)
        return id(Service)

    gc.collect()
    before = len(BaseService.__subclasses__())
    for _ in range(10):
        make()
    gc.collect()
    assert len(BaseService.__subclasses__()) <= before
