"""What coroutines share is opened once, and closed by the task that opened it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.worker import LoopResource, resource
from singleton_service.background.worker.loop_resources import Keeper, all_open

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@pytest.fixture
def story() -> list[Any]:
    return []


def maker(story: list[Any], name: str) -> Callable[[], Any]:
    @asynccontextmanager
    async def open_one() -> AsyncIterator[str]:
        story.append(f"{name} opens")
        task = asyncio.current_task()
        # Such a thing refuses to be closed by another task.
        async with asyncio.timeout(None):
            await asyncio.sleep(0)
            yield name
        assert asyncio.current_task() is task
        story.append(f"{name} closes")

    return open_one


def test_many_coroutines_at_once_open_each_resource_once(story: list[Any]) -> None:
    first: LoopResource[str] = LoopResource(maker(story, "first"))
    second: LoopResource[str] = LoopResource(maker(story, "second"))

    async def handler(keeper: Keeper) -> tuple[str, str]:
        if not all_open():
            assert await keeper.trouble() is None
        return first.get(), second.get()

    async def main() -> None:
        keeper = Keeper()
        answers = await asyncio.gather(*(handler(keeper) for _ in range(10)))
        assert set(answers) == {("first", "second")}
        third = LoopResource(maker(story, "third"))
        await handler(keeper)
        assert third.get() == "third"
        await keeper.close()
        assert not resource.here.values

    asyncio.run(main())
    assert story == [
        *(f"{name} opens" for name in ("first", "second", "third")),
        "third closes",
        "second closes",
        "first closes",
    ]


def test_what_can_not_be_opened_is_told_and_tried_again_later(
    story: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "_AGAIN_S", 0)
    is_there = asyncio.Event()
    lets_go = asyncio.Event()
    has_tried_twice = asyncio.Event()

    @asynccontextmanager
    async def connect() -> AsyncIterator[str]:
        story.append("tries")
        if not is_there.is_set():
            if len(story) > 1:
                has_tried_twice.set()
                await lets_go.wait()
            raise asyncio.CancelledError  # as some libraries do, of all things
        yield "connected"

    connection = LoopResource(connect)

    async def main() -> None:
        keeper = Keeper()
        assert "connect can't be opened: CancelledError" in str(await keeper.trouble())
        trying = asyncio.create_task(keeper.trouble())
        await has_tried_twice.wait()
        assert "connect can't be opened" in str(await keeper.trouble()), "nobody else waits for it"
        lets_go.set()
        assert "connect can't be opened" in str(await trying)
        is_there.set()
        assert await keeper.trouble() is None
        assert connection.get() == "connected"
        await keeper.close()

    asyncio.run(main())
    assert caplog.text.count("Tasks are held until it is") == 1


def test_the_end_of_the_loop_closes_what_nobody_closed(story: list[Any]) -> None:
    LoopResource(maker(story, "one"))

    async def main() -> None:
        assert await Keeper().trouble() is None

    asyncio.run(main())
    assert story == ["one opens", "one closes"]


def test_what_opened_in_a_block_is_there_for_coroutines_called_in_it(story: list[Any]) -> None:
    one: LoopResource[str] = LoopResource(maker(story, "one"))

    async def main() -> None:
        async with one.opened() as value:
            assert one.get() == value == "one"
        with pytest.raises(LookupError, match=r"in `async with resource\.opened\(\):`"):
            one.get()

    asyncio.run(main())
