"""Tasks that can't run now are held, uncounted, with the reason, and cost next to nothing; on every engine."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis

from singleton_service import BaseService, CircuitBreaker, guarded, requires
from singleton_service.background.task_queue import (
    TaskFailedError,
    TaskHandler,
    TaskQueueService,
    TaskRequest,
    TaskStatus,
)
from singleton_service.background.worker import WorkerService, service_pulse

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]


@pytest.fixture
def is_up() -> threading.Event:
    """Whether the database of a test answers."""
    is_up = threading.Event()
    is_up.set()
    return is_up


def database(is_up: threading.Event) -> type[BaseService]:
    class Database(BaseService):
        @classmethod
        def ping(cls) -> bool:
            return is_up.is_set()

    return Database


def define(service: type[BaseService], perform: Callable[[], Any]) -> Any:
    """Return a handler class that needs *service*, though not directly."""

    @requires(service)
    class Repository(BaseService):
        pass

    @requires(Repository)
    class Report(TaskHandler):
        retry_delay_seconds = 0.01

        @classmethod
        def perform(cls) -> Any:
            return perform()

    return Report


def held_reason(queue: Queue, task_id: str) -> str | None:
    found = queue.get_task_status(task_id)
    assert found is not None
    return found.held_reason


def ping_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("worker-ping-")]


def test_while_a_service_does_not_answer_its_tasks_are_held_uncounted_and_others_go_on(
    queue: Queue,
    is_up: threading.Event,
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("TASKS_SERVICE_CHECK_SECONDS", "0.1")
    report = define(database(is_up), is_up.is_set)
    queue.register_handler("other", lambda payload: payload["n"])
    WorkerService.start_workers(2)
    assert report.perform_async().get(timeout=10) is True
    is_up.clear()
    until(lambda: "Database is not answering" in caplog.text)

    handles = [report.perform_async() for _ in range(20)]
    others = queue.enqueue_many([TaskRequest("other", {"n": n}) for n in range(500)])
    assert [queue.get_result(task_id, timeout=20) for task_id in others] == list(range(500))
    for handle in handles:
        until(lambda handle=handle: held_reason(queue, handle.id))
        assert held_reason(queue, handle.id) == "Database is not answering: its ping method returned False"
        assert handle.status is TaskStatus.PENDING

    is_up.set()
    assert [handle.get(timeout=30) for handle in handles] == [True] * 20, "none ran while it was away"
    for handle in handles:
        done = queue.get_task_status(handle.id)
        assert done is not None
        assert (done.retry_count, done.errors, done.held_reason) == (0, (), None)
    assert WorkerService.get_worker_stats()["tasks_failed"] == 0
    assert caplog.text.count("Tasks of 'Report' are held until it does; other tasks go on") == 1
    assert caplog.text.count("Database answers again: tasks of 'Report' go on") == 1


def test_a_failed_attempt_has_the_service_asked_before_the_next_task(
    queue: Queue, is_up: threading.Event, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_SERVICE_CHECK_SECONDS", "3600")
    # A ping that took long because the machine was busy would put the next one off.
    monkeypatch.setattr(service_pulse, "_LEAST_GAP_S", 0)
    monkeypatch.setattr(service_pulse, "_GAP_PER_PING", 0)

    def perform() -> str:
        if not is_up.is_set():
            raise ConnectionError("gone")
        return "done"

    report = define(database(is_up), perform)
    WorkerService.start_workers(2)
    assert report.perform_async().get(timeout=10) == "done"
    is_up.clear()
    handles = [report.perform_async() for _ in range(50)]
    until(lambda: queue.get_queue_stats()["held_tasks"] == 50)
    counted = [task.retry_count for handle in handles if (task := queue.get_task_status(handle.id)) is not None]
    assert 1 <= sum(counted) <= 2, "what ran when it went, one a thread, and nothing else"
    is_up.set()
    assert {handle.get(timeout=30) for handle in handles} == {"done"}


def test_a_ping_that_hangs_counts_as_none_and_keeps_one_thread(
    queue: Queue, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_SERVICE_CHECK_SECONDS", "0.1")
    monkeypatch.setattr(service_pulse, "PING_TIMEOUT_S", 0.3)
    asked, may_end = [], threading.Event()

    class Database(BaseService):
        @classmethod
        def ping(cls) -> bool:
            asked.append(threading.current_thread().name)
            return len(asked) < 3 or may_end.wait(60)

    report = define(Database, lambda: "done")
    queue.register_handler("other", lambda payload: "other")
    WorkerService.start_workers(2)
    try:
        assert report.perform_async().get(timeout=10) == "done"
        until(lambda: len(asked) == 3)
        # The first may get in before the time is over.
        handle = until(lambda: held_reason(queue, (task := report.perform_async()).id) and task)
        assert "Database is not answering: took longer than" in (held_reason(queue, handle.id) or "")
        assert [queue.get_result(queue.enqueue_task("other"), timeout=10) for _ in range(20)] == ["other"] * 20
        assert (len(asked), ping_threads()) == (3, ["worker-ping-Database"])
    finally:
        may_end.set()
    assert handle.get(timeout=30) == "done"


def test_a_handler_class_and_its_coroutine_services_are_asked_on_the_loop_they_live_on(
    queue: Queue, is_up: threading.Event, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_SERVICE_CHECK_SECONDS", "0.1")
    loops: list[asyncio.AbstractEventLoop] = []

    class Session(BaseService):
        @classmethod
        async def initialize(cls) -> None:
            loops.append(asyncio.get_running_loop())

        @classmethod
        async def ping(cls) -> bool:
            loops.append(asyncio.get_running_loop())
            return True

    @requires(Session)
    class Fetch(TaskHandler):
        @classmethod
        async def ping(cls) -> bool:
            loops.append(asyncio.get_running_loop())
            return is_up.is_set()

        @classmethod
        async def perform(cls) -> str:
            loops.append(asyncio.get_running_loop())
            return "done"

    WorkerService.start_workers(1)
    assert Fetch.perform_async().get(timeout=10) == "done"
    is_up.clear()
    handle = until(lambda: held_reason(queue, (task := Fetch.perform_async()).id) and task)
    assert held_reason(queue, handle.id) == "Fetch is not answering: its ping method returned False"
    assert (len(set(loops)), ping_threads()) == (1, ["worker-ping-Session", "worker-ping-Fetch"])
    is_up.set()
    assert handle.get(timeout=30) == "done"


def test_an_open_circuit_holds_the_tasks_of_those_who_require_it_and_of_those_it_refuses(
    queue: Queue, is_up: threading.Event, until: Callable[..., Any]
) -> None:
    class Payments(BaseService):
        breaker = CircuitBreaker(failure_threshold=3, recovery_seconds=3600)

        @classmethod
        @guarded
        @breaker
        def charge(cls) -> str:
            if not is_up.is_set():
                raise ConnectionError("gone")
            return "charged"

    charge = define(Payments, Payments.charge)
    queue.register_handler("other", lambda payload: "other")

    async def careless_handler(_payload: dict[str, Any]) -> str:
        return Payments.charge()

    # It does not say that it needs the service.
    queue.register_handler("careless", careless_handler)
    is_up.clear()
    WorkerService.start_workers(2)
    handles = [charge.perform_async() for _ in range(50)]
    until(lambda: queue.get_queue_stats()["held_tasks"] == 50)
    careless = queue.enqueue_task("careless")
    assert until(lambda: held_reason(queue, careless)) == "Payments.breaker is open, after ConnectionError: gone"
    assert queue.get_result(queue.enqueue_task("other"), timeout=10) == "other"
    found = [task for handle in handles if (task := queue.get_task_status(handle.id)) is not None]
    assert {task.held_reason for task in found} <= {
        "Payments is not answering: Payments.breaker is open, after ConnectionError: gone",
        "Payments.breaker is open, after ConnectionError: gone",
        None,
    }
    # The three that opened it, and one that was under way.
    assert 3 <= sum(task.retry_count for task in found) <= 4
    is_up.set()
    Payments.breaker.reset()
    assert {handle.get(timeout=30) for handle in handles} == {"charged"}
    assert queue.get_result(careless, timeout=30) == "charged"
    done = queue.get_task_status(careless)
    assert done is not None
    assert (done.retry_count, done.errors) == (0, ())


def test_held_tasks_cost_a_few_commands_a_look_and_unknown_ones_end(
    queue: Queue,
    is_up: threading.Event,
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TASKS_SERVICE_CHECK_SECONDS", "0.1")
    monkeypatch.setenv("TASKS_UNKNOWN_TASK_SECONDS", "3")
    report = define(database(is_up), lambda: None)
    WorkerService.start_workers(2)
    assert report.perform_async().get(timeout=10) is None
    is_up.clear()
    until(lambda: "Database is not answering" in caplog.text)
    held = report.perform_async().id
    until(lambda: held_reason(queue, held))
    with redis.Redis.from_url(queue.server_url()) as server:

        def scripts_run() -> int:
            commands: Any = server.info("commandstats")
            return int(commands["cmdstat_evalsha"]["calls"])

        before = scripts_run()
        ids = queue.enqueue_many([TaskRequest("unknown") for _ in range(20)])
        for task_id in ids:
            with pytest.raises(TaskFailedError, match="No handler registered for task: unknown"):
                queue.get_result(task_id, timeout=20)
        # In those three seconds they were looked at three times. Who spins runs thousands.
        assert scripts_run() - before < 150
