"""health pings what is started, in parallel and bounded, and says it in plain dicts."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import health, health_async, running, start

if TYPE_CHECKING:
    from .conftest import Workshop

pytestmark = pytest.mark.timeout(30)
PATIENCE_S = 10


def test_nothing_started_is_an_empty_report(workshop: Workshop) -> None:
    workshop.service("Service")
    assert health() == []


def test_started_services_are_listed_in_start_order_as_json(workshop: Workshop) -> None:
    a = workshop.service("A")
    start(workshop.service("B", a, is_async=True))
    report = json.loads(json.dumps(health()))
    assert [entry["name"] for entry in report] == ["A", "B"]
    assert all(entry["ok"] and entry["error"] is None and entry["state"] == "started" for entry in report)
    assert set(report[0]) == {"name", "state", "ok", "error", "seconds"}


def test_a_service_that_is_not_started_is_said_so_and_stays_so(workshop: Workshop) -> None:
    service = workshop.service("Service")
    (entry,) = health(service)
    assert (entry["state"], entry["ok"], entry["error"]) == (
        "not started",
        False,
        "the service is not started",
    )
    assert not service._initialized


@pytest.mark.parametrize("is_async", [False, True])
def test_a_ping_that_fails_later_is_told(workshop: Workshop, *, is_async: bool) -> None:
    answers: list[object] = [True, False, OSError("gone")]

    def ping() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ping_async() -> object:
        return ping()

    start(workshop.service("Service", ping=ping_async if is_async else ping, is_async=is_async))
    assert [health()[0]["error"] for _ in range(2)] == ["its ping method returned False", "OSError: gone"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_ping_that_hangs_is_given_up(workshop: Workshop, *, is_async: bool) -> None:
    calls: list[int] = []
    may_end = threading.Event()

    def hang() -> bool:
        calls.append(1)
        return len(calls) == 1 or may_end.wait(PATIENCE_S)

    async def hang_async() -> bool:
        calls.append(1)
        if len(calls) > 1:
            await asyncio.sleep(3600)
        return True

    start(workshop.service("Service", ping=hang_async if is_async else hang, is_async=is_async))
    (entry,) = health(timeout=0.05)
    may_end.set()
    assert not entry["ok"]
    assert "TimeoutError" in str(entry["error"])


def test_pings_go_out_in_parallel(workshop: Workshop) -> None:
    are_out = threading.Barrier(5)
    is_up = threading.Event()

    def ping() -> bool:
        return not is_up.is_set() or are_out.wait(PATIENCE_S) >= 0

    start(*(workshop.service(f"S{number}", ping=ping) for number in range(5)))
    is_up.set()
    assert [entry["ok"] for entry in health()] == [True] * 5


def test_on_a_loop_async_pings_run_there_and_nothing_blocks(workshop: Workshop) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def ping() -> bool:
        loops.append(asyncio.get_running_loop())
        return True

    a = workshop.service("A")
    service = workshop.service("Service", a, ping=ping, is_async=True)

    async def main() -> None:
        await service.call_async()
        report = await health_async()
        assert [(entry["name"], entry["ok"]) for entry in report] == [("A", True), ("Service", True)]
        assert loops == [asyncio.get_running_loop()] * 2

    asyncio.run(main())


def test_a_health_check_from_another_thread_asks_a_service_on_its_loop(workshop: Workshop) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def ping() -> bool:
        loops.append(asyncio.get_running_loop())
        return True

    service = workshop.service("Service", ping=ping, is_async=True)

    async def main() -> None:
        await service.call_async()
        assert (await asyncio.to_thread(health))[0]["ok"]
        assert len(set(loops)) == 1

    asyncio.run(main())


def test_a_ping_that_its_blocked_loop_never_begins_is_given_up_in_silence(workshop: Workshop) -> None:
    """Who asks again and again, as workers do, would have a warning of a coroutine that was never awaited each time."""

    async def ping() -> bool:
        return True

    service = workshop.service("Service", ping=ping, is_async=True)
    answers: list[Any] = []

    async def main() -> None:
        async with running(service):
            asking = threading.Thread(target=lambda: answers.extend(health(service, timeout=0.05)))
            asking.start()
            asking.join(PATIENCE_S)  # on the loop, which it blocks

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    assert [answer["error"] for answer in answers] == ["TimeoutError: took longer than 0.05 s"]
    assert not warned
