"""Classes that do tasks, with workers, on every engine."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import singleton_service
from singleton_service import BaseService, guarded, requires
from singleton_service._operations import state
from singleton_service.background.task_queue import TaskHandler, TaskQueueService, TaskStatus
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]


class Ledger(BaseService):
    @classmethod
    def entries(cls) -> int:
        return 7


def define() -> Any:
    @requires(Ledger)
    class Nightly(TaskHandler):
        queue = "low"

        @classmethod
        async def perform(cls, day: date, pages: int = 1) -> str:
            return f"{cls.__name__} {day} {pages} {Ledger.entries()}"

    return Nightly


def test_a_class_does_tasks(queue: Queue) -> None:
    nightly = define()
    WorkerService.start_workers(1)
    handle = nightly.perform_async(date(2026, 1, 2), pages=3)
    assert handle.get(timeout=10) == "Nightly 2026-01-02 3 7"
    assert handle.id.startswith("low.")
    assert nightly.perform_in(0.05, day=date(2026, 1, 2)).get(timeout=10) == "Nightly 2026-01-02 1 7"
    soon = datetime.now(UTC) + timedelta(seconds=0.05)
    assert nightly.perform_at(soon, day=date(2026, 1, 2)).get(timeout=10) == "Nightly 2026-01-02 1 7"


def test_enqueueing_starts_the_queue_alone(queue: Queue) -> None:
    nightly = define()
    handle = nightly.perform_in(60, date(2026, 1, 2))
    assert handle.status is TaskStatus.PENDING
    assert {service.__name__ for service in state.started} == {"ConfigService", "TaskQueueService"}
    found = queue.get_task_status(handle.id)
    assert found is not None
    assert found.eta is not None
    assert 50 < (found.eta - found.created_at).total_seconds() < 70
    with pytest.raises(ValueError, match="day: it is missing"):
        nightly.perform_async()


def test_what_a_class_requires_is_started_before_the_workers_and_stopped_after_them(queue: Queue) -> None:
    nightly = define()
    WorkerService.start_workers(1)
    started = [service.__name__ for service in state.started]
    assert started == ["ConfigService", "TaskQueueService", "Ledger", "Nightly", "WorkerService"]
    assert nightly.perform_async(date(2026, 1, 2)).get(timeout=10)


def test_a_running_task_keeps_its_services_until_the_workers_have_stopped(queue: Queue) -> None:
    has_begun, told = threading.Event(), []

    class Line(BaseService):
        @classmethod
        @guarded
        def send(cls) -> None:
            told.append("sent")

        @classmethod
        def shutdown(cls) -> None:
            told.append("closed")

    @requires(Line)
    class Send(TaskHandler):
        @classmethod
        def perform(cls) -> None:
            has_begun.set()
            while WorkerService._crew is None or not WorkerService._crew.is_stopping:
                time.sleep(0.005)
            Line.send()

    WorkerService.start_workers(1)
    Send.perform_async()
    assert has_begun.wait(10)
    singleton_service.stop()
    assert told == ["sent", "closed"]


def test_while_what_it_requires_cant_be_started_a_task_is_held_uncounted_and_others_go_on(
    queue: Queue, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    is_there = threading.Event()

    class Database(BaseService):
        @classmethod
        def initialize(cls) -> None:
            if not is_there.is_set():
                raise ConnectionError("nobody answers")

    @requires(Database)
    class Count(TaskHandler):
        @classmethod
        def perform(cls) -> str:
            return "counted"

    queue.register_handler("other", lambda payload: "other")
    WorkerService.start_workers(2)
    assert "Tasks of 'Count' are held" in caplog.text
    handles = [Count.perform_async() for _ in range(5)]
    held = until(lambda: (found := queue.get_task_status(handles[0].id)) and found.held_reason and found)
    assert held.held_reason.startswith("Count is not ready: ")
    assert "nobody answers" in held.held_reason
    assert queue.get_result(queue.enqueue_task("other"), timeout=10) == "other"
    is_there.set()
    assert [handle.get(timeout=30) for handle in handles] == ["counted"] * 5
    found = queue.get_task_status(handles[0].id)
    assert found is not None
    assert (found.retry_count, found.errors) == (0, ())
    assert caplog.text.count("are held until it is") == 1, "said once"
    assert WorkerService.get_worker_stats()["tasks_failed"] == 0


def test_services_of_coroutines_live_on_the_workers_loop_and_begin_anew_with_it(queue: Queue) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    class Session(BaseService):
        @classmethod
        async def initialize(cls) -> None:
            loops.append(asyncio.get_running_loop())

        @classmethod
        @guarded
        async def fetch(cls) -> bool:
            return asyncio.get_running_loop() is loops[-1]

        @classmethod
        async def shutdown(cls) -> None:
            assert asyncio.get_running_loop() is loops[-1]

    @requires(Session)
    class Plain(TaskHandler):
        @classmethod
        def perform(cls) -> None: ...

    @requires(Session)
    class Fetch(TaskHandler):
        @classmethod
        async def perform(cls) -> bool:
            return await Session.fetch()

    for times in (1, 2):
        WorkerService.start_workers(1)
        assert len(loops) == times, "it is started"
        assert Fetch.perform_async().get(timeout=10) is True
        assert Plain.perform_async().get(timeout=10) is None
        WorkerService.stop_workers()
        assert not Session._initialized
