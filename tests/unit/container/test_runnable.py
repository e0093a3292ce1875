"""BaseRunnable: a service with a main loop that can be told to stop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, ClassVar

import pytest

from singleton_service import BaseRunnable, requires, running, start, stop

if TYPE_CHECKING:
    from .conftest import Journal, Workshop

pytestmark = pytest.mark.timeout(30)
PATIENCE_S = 10


def test_a_main_loop_starts_what_it_needs_and_ends_when_told(workshop: Workshop, journal: Journal) -> None:
    config = workshop.service("Config")

    @requires(config)
    class Program(BaseRunnable):
        is_in_loop: ClassVar[threading.Event] = threading.Event()

        @classmethod
        def run_sync(cls) -> None:
            journal("run")
            cls.is_in_loop.set()
            assert cls.should_stop(within=PATIENCE_S)
            journal("end")

    thread = threading.Thread(target=Program.run_sync)
    thread.start()
    assert Program.is_in_loop.wait(PATIENCE_S)
    Program.stop()
    thread.join(PATIENCE_S)
    assert journal.lines == ["+Config", "run", "end"]


def test_an_async_main_loop_runs_from_plain_code_too(journal: Journal) -> None:
    class Program(BaseRunnable):
        @classmethod
        async def run_async(cls) -> None:
            journal("run")
            asyncio.get_running_loop().call_later(0.01, cls.stop)
            assert await cls.should_stop_async(within=PATIENCE_S)
            assert not await Other.should_stop_async(within=0.01)

    class Other(BaseRunnable): ...

    Program.run_sync()
    asyncio.run(Program.run_async())
    assert journal.lines == ["run", "run"]


def test_a_plain_main_loop_runs_from_async_code_without_blocking(journal: Journal) -> None:
    class Program(BaseRunnable):
        @classmethod
        def run_sync(cls) -> None:
            assert cls.should_stop(within=PATIENCE_S)
            journal("end")

    async def main() -> None:
        run = asyncio.create_task(Program.run_async())
        await asyncio.sleep(0)
        Program.stop()
        await run

    asyncio.run(main())
    assert journal.lines == ["end"]


def test_a_stop_before_the_loop_begins_is_not_lost_and_holds_for_one_run() -> None:
    class Program(BaseRunnable):
        @classmethod
        def run_sync(cls) -> None:
            assert cls.should_stop()

    Program.stop()
    Program.run_sync()
    assert not Program.should_stop()


def test_a_main_loop_ends_before_what_it_needs_is_stopped(workshop: Workshop, journal: Journal) -> None:
    config = workshop.service("Config")

    @requires(config)
    class Program(BaseRunnable):
        is_in_loop: ClassVar[threading.Event] = threading.Event()

        @classmethod
        def run_sync(cls) -> None:
            cls.is_in_loop.set()
            assert cls.should_stop(within=PATIENCE_S)
            journal("end")

    thread = threading.Thread(target=Program.run_sync)
    with running(Program):
        thread.start()
        assert Program.is_in_loop.wait(PATIENCE_S)
    thread.join(PATIENCE_S)
    assert journal.lines == ["+Config", "end", "-Config"]


def test_a_main_loop_may_stop_the_container_itself(journal: Journal) -> None:
    class Program(BaseRunnable):
        @classmethod
        def run_sync(cls) -> None:
            stop()
            journal("stopped")

    start(Program)
    Program.run_sync()
    assert journal.lines == ["stopped"]


def test_neither_method_overridden_is_said_so() -> None:
    class Program(BaseRunnable): ...

    with pytest.raises(NotImplementedError, match="Program must override run_sync"):
        Program.run_sync()
    with pytest.raises(NotImplementedError, match="Program must override run_sync"):
        asyncio.run(Program.run_async())
