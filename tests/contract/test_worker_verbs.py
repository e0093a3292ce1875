"""Waiting for the end of the work, and asking a worker process how it does."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import singleton_service
from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]


def test_the_end_of_all_work_is_waited_for(queue: Queue) -> None:
    done: list[int] = []
    queue.register_handler("count", lambda payload: done.append(payload["n"]))
    queue.enqueue_many(TaskRequest("count", {"n": n}) for n in range(300))
    delayed = queue.enqueue_task("count", {"n": -1}, delay_seconds=3600)
    WorkerService.start_workers(2)
    assert WorkerService.wait_for_completion(timeout=30)
    assert sorted(done) == list(range(300))
    waiting = queue.get_task_status(delayed)
    assert waiting is not None
    assert waiting.status is TaskStatus.PENDING


def test_work_that_does_not_end_in_time_is_said(queue: Queue) -> None:
    is_over = threading.Event()
    queue.register_handler("wait", lambda _payload: is_over.wait(30))
    queue.enqueue_task("wait")
    WorkerService.start_workers(1)
    try:
        assert not WorkerService.wait_for_completion(timeout=0.1)
    finally:
        is_over.set()
    assert WorkerService.wait_for_completion(timeout=30)


@pytest.mark.parametrize("stop", [WorkerService.stop_workers, singleton_service.stop], ids=["workers", "services"])
def test_a_stop_amid_the_wait_is_no_completion(
    queue: Queue,
    until: Callable[..., Any],
    in_thread: Callable[[Callable[[], Any]], threading.Thread],
    stop: Callable[[], object],
) -> None:
    begun, is_over = threading.Event(), threading.Event()

    def wait(_payload: dict[str, Any]) -> None:
        begun.set()
        is_over.wait(30)

    queue.register_handler("wait", wait)
    queue.enqueue_many(TaskRequest("wait") for _ in range(2))
    WorkerService.start_workers(1)
    answers: list[bool] = []
    waiting = in_thread(lambda: answers.append(WorkerService.wait_for_completion()))
    until(begun.is_set)
    stopping = in_thread(stop)
    until(lambda: not WorkerService.health_check())  # while it drains, too
    assert WorkerService.get_worker_stats()["busy_workers"] == 1
    is_over.set()
    stopping.join(30)
    waiting.join(30)
    assert answers == [False]
    assert TaskQueueService._initialized is (stop == WorkerService.stop_workers), "the wait started nothing again"
    assert queue.get_queue_stats()["pending_tasks"] == 1


def test_without_workers_and_in_paused_queues_there_is_nothing_to_wait_for(queue: Queue) -> None:
    queue.enqueue_task("count")
    assert WorkerService.wait_for_completion(timeout=30)
    queue.pause_queue("default")
    WorkerService.start_workers(1)
    assert WorkerService.wait_for_completion(timeout=30)
    assert queue.get_queue_stats()["pending_tasks"] == 1


@pytest.mark.parametrize("queues", [None, "high:3,low:1"])
def test_a_run_until_the_queues_are_empty_does_all_and_stops(queue: Queue, queues: str | None) -> None:
    done: list[int] = []
    queue.register_handler("count", lambda payload: done.append(payload["n"]))
    names = ("default",) if queues is None else ("high", "low")
    queue.enqueue_many(TaskRequest("count", {"n": n}, queue=names[n % len(names)]) for n in range(100))
    assert WorkerService.run_until_empty(2, queues=queues) == 0
    assert sorted(done) == list(range(100))
    assert not WorkerService.get_worker_stats()["is_running"]


def test_a_worker_is_healthy_while_it_works_and_its_server_answers(queue: Queue) -> None:
    assert not WorkerService.health_check()
    WorkerService.start_workers(1)
    assert WorkerService.health_check()
    WorkerService.stop_workers()
    assert not WorkerService.health_check()


def test_a_process_that_takes_tasks_is_listed_with_what_it_does(queue: Queue, until: Callable[..., Any]) -> None:
    is_over = threading.Event()
    queue.register_handler("wait", lambda _payload: is_over.wait(30))
    assert WorkerService.list_workers() == [], "this process takes from nowhere"
    before = datetime.now(UTC) - timedelta(seconds=5)
    queue.enqueue_many(TaskRequest("wait", {}, queue="low") for _ in range(2))
    WorkerService.start_workers(2, queues="high,low")
    try:
        until(lambda: [info.tasks_running for info in WorkerService.list_workers()] == [2])
        (info,) = WorkerService.list_workers()
    finally:
        is_over.set()
    assert (info.pid, info.queues, info.tasks_held) == (os.getpid(), ("high", "low"), 2)
    assert info.host == re.sub(r"[^\w.-]", "-", socket.gethostname())
    assert info.started_at is not None
    assert before < info.started_at <= info.last_heartbeat + timedelta(seconds=5)
    assert before < info.last_heartbeat < before + timedelta(seconds=60)
    until(lambda: [info.tasks_held for info in WorkerService.list_workers()] == [0])


def test_performance_metrics_tell_what_the_process_costs_and_does(queue: Queue, until: Callable[..., Any]) -> None:
    def sometimes(payload: dict[str, Any]) -> None:
        if payload["n"] == 0:
            raise ValueError("no")

    queue.register_handler("sometimes", sometimes, max_retries=0)
    WorkerService.start_workers(2)
    assert WorkerService.get_performance_metrics()["error_rate"] is None
    queue.enqueue_many(TaskRequest("sometimes", {"n": n}) for n in range(4))
    until(lambda: WorkerService.get_worker_stats()["tasks_processed"] == 3)
    until(lambda: WorkerService.get_worker_stats()["tasks_failed"] == 1)
    metrics = WorkerService.get_performance_metrics()
    assert (metrics["error_rate"], metrics["active_workers"], metrics["busy_workers"]) == (0.25, 2, 0)
    # Both are rounded, and it has run for a few milliseconds only.
    assert metrics["throughput"] * metrics["uptime_seconds"] == pytest.approx(4, rel=0.3)
    assert metrics["memory_usage_mb"] > 5
    assert metrics["cpu_percent"] >= 0
    assert json.loads(json.dumps(metrics)) == metrics
