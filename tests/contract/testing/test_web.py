"""The fixture beside FastAPI's test client, with the lifespan of an application and without."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from singleton_service.background.fastapi import router
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import TaskQueueService, task
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from singleton_service.background.testing import TaskQueueBench

# Starlette's, of its own test client.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with")
TASK = {"name": "add", "payload": {"a": 1, "b": 2}}


@pytest.fixture
def client() -> Any:
    app = FastAPI()
    app.include_router(router)
    return importlib.import_module("fastapi.testclient").TestClient(app)


@pytest.fixture(autouse=True)
def add(no_handlers: None) -> None:
    @task(schedule="hourly")
    def add(a: int = 0, b: int = 0) -> int:
        return a + b


def test_without_the_lifespan_the_test_does_the_work(task_queue: TaskQueueBench, client: Any) -> None:
    task_id = client.post("/tasks", json=TASK).json()["task_id"]
    assert client.get(f"/tasks/{task_id}").json()["status"] == "pending"
    task_queue.assert_enqueued("add", a=1, b=2)
    task_queue.drain()
    assert client.get(f"/tasks/{task_id}").json()["result"] == 3


def test_with_it_workers_do_and_are_waited_for_and_the_clock_is_the_scheduler(
    task_queue: TaskQueueBench, client: Any
) -> None:
    with client:
        assert WorkerService.health_check()
        task_id = client.post("/tasks", json=TASK).json()["task_id"]
        task_queue.drain()
        assert client.get(f"/tasks/{task_id}").json()["result"] == 3
        task_queue.clock.move(hours=2)
        task_queue.drain()
        assert not [thread for thread in threading.enumerate() if thread.name == "scheduler"]
    assert not TaskQueueService._initialized
    task_queue.assert_enqueued("add", {}, count=3)
    assert TaskQueueService.get_queue_stats()["tasks_processed"] == 3


def test_immediate_tasks_have_run_when_a_request_is_answered(task_queue: TaskQueueBench, client: Any) -> None:
    with task_queue.immediate():
        task_id = client.post("/tasks", json=TASK).json()["task_id"]
        assert client.get(f"/tasks/{task_id}").json()["status"] == "completed"


def test_a_schedule_made_by_a_request_fires_by_the_clock_without_a_lifespan(task_queue: TaskQueueBench) -> None:
    SchedulerService.schedule_task("add", {"a": 4}, "every 10 minutes")
    task_queue.clock.move(minutes=30)
    task_queue.assert_enqueued("add", a=4, count=3)
