"""Waiting for results over a line that loses notifications, and beside a server that hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.engine import open_engine
from singleton_service.background.task_queue import (
    QueueUnavailableError,
    Task,
    TaskHandle,
    TaskQueueService,
    following,
    results,
)
from singleton_service.background.task_queue.client import QueueClient
from tests.conftest import REDIS_SERVER, WITHOUT_REDIS, RedisServer, clean_process
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(REDIS_SERVER is None, reason=WITHOUT_REDIS)


class OtherSide:
    """A worker elsewhere, whose line to the server is good."""

    def __init__(self, url: str) -> None:
        settings = Settings(redis_url=url)
        self._client = QueueClient(open_engine(settings), settings)
        self._protocol = self._client.protocol("default")

    def take(self) -> None:
        fetched = self._protocol.fetched(self._client.link.run([self._protocol.fetch(1, 1)])[0])
        (self._lease,) = fetched.leases

    def report(self, percent: int) -> None:
        command = self._protocol.progress([(self._lease, b"%d" % percent, b"")])
        assert self._client.link.run([command]) == [b"1"]

    def complete(self) -> None:
        assert self._client.link.run([self._protocol.complete([(self._lease, b'"done"')])]) == [b"1"]

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    own = RedisServer(tmp_path).start()
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", own.url)
    monkeypatch.chdir(tmp_path)
    yield own
    own.kill()


@pytest.fixture
def line(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    proxy = Proxy("127.0.0.1", server.port).start()
    monkeypatch.setenv("REDIS_URL", proxy.url)
    with clean_process():
        yield proxy
    proxy.stop()


@pytest.fixture
def elsewhere(server: RedisServer) -> Iterator[OtherSide]:
    other = OtherSide(server.url)
    yield other
    other.close()


def wait_all_ways(task_id: str, in_thread: Any) -> list[Any]:
    """Wait in a thread, in a loop and by following; return what came, as it comes."""
    came: list[Any] = []

    async def wait() -> None:
        came.append(await TaskQueueService.aget_result(task_id, timeout=None))

    def follow() -> None:
        came.extend(task.result for task in TaskHandle(task_id).updates() if task.status.is_final)

    in_thread(lambda: came.append(TaskQueueService.get_result(task_id, timeout=None)))
    in_thread(lambda: asyncio.run(wait()))
    in_thread(follow)
    return came


def test_an_end_whose_message_is_lost_is_seen_all_the_same(
    line: Proxy, elsewhere: OtherSide, in_thread: Any, until: Any
) -> None:
    task_id = TaskQueueService.enqueue_task("x")
    came = wait_all_ways(task_id, in_thread)
    endings = TaskQueueService._open_endings()
    until(lambda: endings._marked and sum(map(len, endings._waiting.values())) == 3)
    line.drop_answers("message", 1.0)
    elsewhere.take()
    elsewhere.complete()
    until(lambda: line.bites["dropped message"] >= 1)
    until(lambda: came == ["done"] * 3)


def test_an_end_is_seen_though_the_subscription_is_half_open(
    line: Proxy, elsewhere: OtherSide, in_thread: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (results, following):
        # Nobody sees it by looking anyway.
        monkeypatch.setattr(module, "LOOK_ANYWAY_S", 600.0)
    task_id = TaskQueueService.enqueue_task("x")
    came = wait_all_ways(task_id, in_thread)
    endings = TaskQueueService._open_endings()
    until(lambda: endings._marked and sum(map(len, endings._waiting.values())) == 3)
    line.forget()
    until(lambda: line.bites["forgotten"] >= 1)
    elsewhere.take()
    elsewhere.complete()
    until(lambda: came == ["done"] * 3)


def test_an_end_is_told_of_though_the_queue_forgot_who_waits(
    line: Proxy, elsewhere: OtherSide, in_thread: Any, until: Any
) -> None:
    task_id = TaskQueueService.enqueue_task("x")
    came: list[Any] = []
    in_thread(lambda: came.append(TaskQueueService.get_result(task_id, timeout=40)))
    until(lambda: TaskQueueService._open_endings()._marked)
    client = TaskQueueService._open_client()
    assert client.link.call(b"DEL", client.protocol("default").keys.key("waiters")) == 1
    elsewhere.take()
    elsewhere.complete()
    until(lambda: came == ["done"])


def test_progress_is_seen_though_its_messages_are_lost(
    line: Proxy, elsewhere: OtherSide, in_thread: Any, until: Any
) -> None:
    seen: list[Task] = []
    task_id = TaskQueueService.enqueue_task("x")

    def follow() -> None:
        for task in TaskHandle(task_id).updates():
            seen.append(task)  # noqa: PERF402 - looked at as it grows

    in_thread(follow)
    until(lambda: TaskQueueService._open_endings()._marked)
    line.drop_answers("message", 1.0)
    elsewhere.take()
    for percent in (10, 90):
        elsewhere.report(percent)
        until(lambda percent=percent: _percent(seen[-1]) == percent)
    assert line.bites["dropped message"] >= 1
    line.calm()
    elsewhere.complete()
    until(lambda: seen and seen[-1].result == "done")


def _percent(task: Task) -> float | None:
    return task.progress.percent if task.progress else None


def test_a_server_that_hangs_holds_up_no_loop_and_no_line_of_requests(server: RedisServer) -> None:
    with clean_process():
        TaskQueueService.enqueue_task("x")
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.01)

        async def ask_often() -> list[Any]:
            ticking = asyncio.ensure_future(tick())
            requests = [TaskQueueService.aenqueue_task("x") for _ in range(500)]
            found = await asyncio.gather(*requests, return_exceptions=True)
            ticking.cancel()
            return found

        began = time.monotonic()
        try:
            found = asyncio.run(ask_often())
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert {type(error) for error in found} == {QueueUnavailableError}
        # Limits, not measurements: one after another they would take a quarter of an hour, and a loop that waits for
        # the server would not have ticked at all.
        assert time.monotonic() - began < 15
        assert len(ticks) > 20
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("task-queue-async")]
        assert len(threads) <= 32
