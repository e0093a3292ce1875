"""Whether the loop of the handlers goes round."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.worker.loop import HandlerLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30.0
NAME = "worker-loop-watch"


def watching() -> bool:
    return any(thread.name == NAME for thread in threading.enumerate())


@pytest.fixture
def loop() -> Iterator[HandlerLoop]:
    loop = HandlerLoop()
    loop.watch.blocked_s = 0.02
    yield loop
    loop.stop()
    assert not watching()


async def nothing() -> str:
    return "nothing"


def test_a_stop_waits_for_no_answer_however_long_one_may_take(loop: HandlerLoop) -> None:
    loop.watch.blocked_s = 3600
    for _ in range(50):
        assert loop.run(nothing()) == "nothing"
    assert watching()


def test_what_blocks_it_is_named_though_no_handler_does(
    loop: HandlerLoop, caplog: pytest.LogCaptureFixture, in_thread: Callable[..., Any], until: Callable[..., Any]
) -> None:
    go_on = threading.Event()

    async def service_start() -> None:
        go_on.wait(PATIENCE_S)

    thread = in_thread(lambda: loop.run(service_start()))
    until(lambda: "blocks the event loop" in caplog.text)
    assert f"'service_start' blocks the event loop at {__file__}" in caplog.text
    go_on.set()
    thread.join(PATIENCE_S)
    until(lambda: "the event loop goes on" in caplog.text)
    assert sum("event loop" in each.getMessage() for each in caplog.records) == 2


def test_a_loop_that_is_blocked_again_is_reported_again(
    loop: HandlerLoop, caplog: pytest.LogCaptureFixture, in_thread: Callable[..., Any], until: Callable[..., Any]
) -> None:
    caplog.set_level(logging.WARNING)
    for number in (1, 2):
        go_on = threading.Event()

        async def block(event: threading.Event = go_on) -> None:
            await asyncio.sleep(0)
            event.wait(PATIENCE_S)

        thread = in_thread(lambda block=block: loop.run(block()))
        until(lambda number=number: caplog.text.count("blocks the event loop") == number)
        go_on.set()
        thread.join(PATIENCE_S)
        until(lambda number=number: caplog.text.count("the event loop goes on") == number)
