"""The server goes away and comes back: one warning, no restart, nothing lost."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import stop
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import QueueUnavailableError, TaskQueueService, TaskStatus
from singleton_service.background.worker import WorkerService
from tests.conftest import REDIS_SERVER, WITHOUT_REDIS, RedisServer, clean_process

from .conftest import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(REDIS_SERVER is None, reason=WITHOUT_REDIS)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server of this test's own, not started yet, that keeps its data."""
    own = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always", "--requirepass", "pa55word")
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", f"redis://:pa55word@127.0.0.1:{own.port}/0")
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "2")
    monkeypatch.chdir(tmp_path)
    with clean_process():
        yield own
    own.kill()


def test_enqueue_without_a_server_fails_fast_and_says_what_to_try(server: RedisServer) -> None:
    began = time.monotonic()
    with pytest.raises(QueueUnavailableError) as caught:
        TaskQueueService.enqueue_task("x")
    assert time.monotonic() - began < 2
    text = str(caught.value)
    assert f"127.0.0.1:{server.port}" in text
    assert "REDIS_URL" in text
    assert "pa55word" not in text


def test_a_server_that_goes_while_the_service_starts_is_unavailable(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    initialize = TaskQueueService.initialize

    def and_then_it_goes() -> None:
        initialize()
        server.kill()

    with monkeypatch.context() as patch:
        patch.setattr(TaskQueueService, "initialize", staticmethod(and_then_it_goes))
        with pytest.raises(QueueUnavailableError):
            TaskQueueService.enqueue_task("x")
    assert TaskQueueService.ping() is False, "no error of a service that is not started"


def test_a_server_that_hangs_is_unavailable_within_two_seconds(server: RedisServer) -> None:
    server.start()
    TaskQueueService.enqueue_task("x")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(QueueUnavailableError):
            TaskQueueService.enqueue_task("x")
        assert time.monotonic() - began < 3.5, "a time limit, not a measurement"
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def test_an_enqueue_lives_through_a_short_absence(server: RedisServer, until: Any) -> None:
    server.start()
    TaskQueueService.enqueue_task("x")
    server.kill()
    back = threading.Timer(0.3, server.start)
    back.start()
    task_id = TaskQueueService.enqueue_task("y")
    back.join()
    task = TaskQueueService.get_task_status(task_id)
    assert task is not None
    assert TaskQueueService.get_queue_stats()["tasks_queued"] == 2


def test_workers_outlive_the_server_and_warn_once(
    server: RedisServer, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.start()
    TaskQueueService.register_handler("x", lambda payload: payload["n"])
    WorkerService.start_workers(2)
    first = TaskQueueService.enqueue_task("x", {"n": 1})
    assert TaskQueueService.get_result(first, timeout=10) == 1
    with caplog.at_level(logging.INFO, logger="singleton_service"):
        server.kill()
        until(lambda: "is not available" in caplog.text)
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 1.5)
        server.start()
        until(lambda: "answers again" in caplog.text)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, [record.getMessage() for record in warnings]
    assert "pa55word" not in caplog.text
    second = TaskQueueService.enqueue_task("x", {"n": 2})
    assert TaskQueueService.get_result(second, timeout=20) == 2


def test_a_task_that_ends_while_the_server_is_away_is_acknowledged_when_it_is_back(
    server: RedisServer, until: Any
) -> None:
    server.start()
    began, go_on = threading.Event(), threading.Event()
    runs: list[int] = []

    def wait(payload: dict[str, Any]) -> str:
        runs.append(1)
        began.set()
        go_on.wait(20)
        return "done"

    TaskQueueService.register_handler("wait", wait)
    WorkerService.start_workers(1)
    task_id = TaskQueueService.enqueue_task("wait")
    assert began.wait(10)
    server.kill()
    go_on.set()
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 0)
    server.start()

    def completed() -> bool:
        task = TaskQueueService.get_task_status(task_id)
        return task is not None and task.status is TaskStatus.COMPLETED

    until(completed, 20)
    assert runs == [1]


def test_workers_started_before_the_server_start_when_it_is_there(
    server: RedisServer, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    TaskQueueService.register_handler("x", lambda payload: 1)
    WorkerService.start_workers(2)
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1
    assert WorkerService.get_worker_stats()["is_running"] is False
    server.start()
    until(lambda: WorkerService.get_worker_stats()["is_running"])
    assert TaskQueueService.get_result(TaskQueueService.enqueue_task("x"), timeout=10) == 1


def test_workers_and_a_scheduler_that_wait_for_one_server_warn_once(
    server: RedisServer, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        WorkerService.start_workers(2)
        SchedulerService.start_scheduler()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "The workers will start" in warning
    assert "The scheduler, too, will start" in caplog.text
    server.start()
    until(lambda: WorkerService.get_worker_stats()["is_running"])
    until(lambda: SchedulerService.get_scheduler_stats()["is_running"])


def threads_waiting() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.endswith("-late-start")]


@pytest.mark.parametrize(
    "stop_them",
    [
        lambda: (WorkerService.stop_workers(), SchedulerService.stop_scheduler()),
        stop,
        lambda: stop(TaskQueueService),
    ],
    ids=["themselves", "all", "what they need"],
)
def test_what_waits_for_the_server_can_be_stopped(
    server: RedisServer, until: Any, stop_them: Callable[[], object]
) -> None:
    TaskQueueService.register_handler("x", lambda payload: 1)
    WorkerService.start_workers(2)
    SchedulerService.start_scheduler()
    assert threads_waiting() == ["workers-late-start", "scheduler-late-start"]
    stop_them()
    until(lambda: not threads_waiting())
    server.start()
    task_id = TaskQueueService.enqueue_task("x")
    assert WorkerService.get_worker_stats()["is_running"] is False
    assert SchedulerService.get_scheduler_stats()["is_running"] is False
    # And nothing stands in the way of a new start.
    WorkerService.start_workers(1)
    assert TaskQueueService.get_result(task_id, timeout=10) == 1


@pytest.mark.parametrize("calls", [0, 1])
def test_a_worker_that_is_told_to_stop_leaves_though_its_server_hangs(
    server: RedisServer, tmp_path: Path, until: Any, at_end: Callable[..., int], calls: int
) -> None:
    server.start()
    ids = [TaskQueueService.enqueue_task("tidy", {"n": n}) for n in range(2)]
    if calls:
        TaskQueueService.enqueue_task("sleep", {"n": 2, "seconds": 1})
    workers = Workers(dict(os.environ), tmp_path)
    try:
        leaver = workers.start(threads=3, timeout=0.2)
        until(lambda: len(workers.count("begin")) == 2 + calls)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            # Whoever reports this end waits for an answer, for longer than the stop may take.
            until(lambda: len(workers.count("end")) == calls)
            leaver.terminate()
            assert at_end(leaver) == 0
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert workers.count("tidied") == {"0": 1, "1": 1}
        # Of what has ended just now nobody knows whether the server heard.
        assert f"cut off {2 + calls}" in workers.said()
        # Nobody could be told: they go on when their lease has ended.
        workers.start(threads=2)
        until(lambda: all(workers.count("begin")[n] == 2 for n in "01"))
    finally:
        workers.end()
    assert [task.retry_count for task_id in ids if (task := TaskQueueService.get_task_status(task_id))] == [0, 0]


def test_a_waiter_outlives_the_server(server: RedisServer, until: Any) -> None:
    server.start()
    task_id = TaskQueueService.enqueue_task("x")
    results: list[Any] = []

    def wait() -> None:
        while not results:
            try:
                results.append(TaskQueueService.get_result(task_id, timeout=30))
            except QueueUnavailableError:
                time.sleep(0.05)

    waiter = threading.Thread(target=wait)
    waiter.start()
    server.kill()
    server.start()
    TaskQueueService.register_handler("x", lambda payload: "at last")
    WorkerService.start_workers(1)
    waiter.join(20)
    assert results == ["at last"]


def test_a_server_busy_with_somebody_elses_script_is_unavailable_for_now(server: RedisServer, until: Any) -> None:
    server.options += ("--busy-reply-threshold", "20")
    server.start()
    TaskQueueService.enqueue_task("x")
    link = TaskQueueService._open_client().new_link(30)
    link.send(b"EVAL", b"while true do end", 0)

    def is_busy() -> bool:
        try:
            TaskQueueService.get_queue_stats()
        except QueueUnavailableError as error:
            return "BUSY" in str(error)
        return False

    until(is_busy)
    other = TaskQueueService._open_client().new_link(5)
    other.call(b"SCRIPT", b"KILL")
    assert TaskQueueService.enqueue_task("x")


def test_a_handler_goes_on_reporting_while_the_server_is_away(server: RedisServer, until: Any) -> None:
    server.start()
    began, go_on, finish = threading.Event(), threading.Event(), threading.Event()

    def work(payload: dict[str, Any]) -> str:
        assert TaskQueueService.update_progress(1)
        began.set()
        assert go_on.wait(20)
        for n in range(500):
            assert TaskQueueService.update_progress(n / 10, "nobody hears it")
        assert finish.wait(20)
        return "done"

    TaskQueueService.register_handler("work", work)
    WorkerService.start_workers(1)
    task_id = TaskQueueService.enqueue_task("work")
    assert began.wait(10)
    server.kill()
    go_on.set()
    server.start()

    def last_word() -> bool:
        progress = TaskQueueService.get_progress(task_id)
        return progress is not None and progress.percent == 49.9

    until(last_word)
    finish.set()
    assert TaskQueueService.get_result(task_id, timeout=20) == "done"
