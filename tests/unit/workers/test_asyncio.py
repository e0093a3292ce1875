"""run_async_safely from wherever it is called, and uvloop where it is installed."""

from __future__ import annotations

import asyncio
import gc
import sys
from types import ModuleType
from typing import TYPE_CHECKING, cast

import pytest

from singleton_service.workers import ThreadWorker, run_async_safely, set_uvloop_if_available

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(30)


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


async def refuse() -> int:
    raise ValueError("no")


def test_without_a_loop_the_result_comes_back() -> None:
    assert run_async_safely(answer()) == 42
    with pytest.raises(ValueError, match="no"):
        run_async_safely(refuse())


def test_in_a_running_loop_an_awaitable_task_comes_back() -> None:
    async def main() -> tuple[int, str]:
        task = run_async_safely(answer())
        assert isinstance(task, asyncio.Task)
        refused = cast("asyncio.Task[int]", run_async_safely(refuse()))
        with pytest.raises(ValueError, match="no"):
            await refused
        return await task, type(task).__name__

    assert asyncio.run(main()) == (42, "Task")


def test_a_task_that_nobody_holds_runs_to_its_end() -> None:
    async def main() -> None:
        done = asyncio.Event()

        async def note() -> None:
            await asyncio.sleep(0)
            gc.collect()
            done.set()

        run_async_safely(note())
        gc.collect()
        await asyncio.wait_for(done.wait(), 10)

    asyncio.run(main())


class OtherLoop(asyncio.SelectorEventLoop):
    """Stands for the one of uvloop."""


class OtherPolicy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = OtherLoop


@pytest.fixture
def uvloop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("uvloop")
    module.__dict__.update(new_event_loop=OtherLoop, EventLoopPolicy=OtherPolicy)
    monkeypatch.setitem(sys.modules, "uvloop", module)
    yield
    asyncio.set_event_loop_policy(None)


async def loop_type() -> type:
    return type(asyncio.get_running_loop())


@pytest.mark.usefixtures("uvloop")
def test_workers_use_uvloop_where_it_is_installed() -> None:
    types: list[type] = []

    class Looper(ThreadWorker):
        async def main(self) -> None:
            types.append(await loop_type())

    worker = Looper()
    worker.start()
    assert worker.join(10)
    assert types == [OtherLoop]
    assert run_async_safely(loop_type()) is OtherLoop
    assert asyncio.run(loop_type()) is not OtherLoop  # nobody asked for that


@pytest.mark.usefixtures("uvloop")
def test_asked_for_uvloop_is_what_all_of_asyncio_uses() -> None:
    assert set_uvloop_if_available()
    assert asyncio.run(loop_type()) is OtherLoop


def test_where_uvloop_is_missing_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    before = asyncio.run(loop_type())
    assert not set_uvloop_if_available()
    assert asyncio.run(loop_type()) is before
