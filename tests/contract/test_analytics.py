"""What the queues say of themselves, on every engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest
from singleton_service.background.worker import WorkerService

Queue = type[TaskQueueService]


def test_a_queue_that_never_was_has_nothing_to_say(queue: Queue) -> None:
    told = queue.get_analytics()
    assert (told["total_executed"], told["success_rate"], told["avg_execution_time"]) == (0, None, None)
    assert (told["uptime_hours"], told["queue_size"], told["queues"], told["by_name"]) == (0.0, 0, {}, {})


def test_analytics_tell_what_workers_did_in_all_queues_and_in_each(queue: Queue, until: Any) -> None:
    def unlucky(_payload: dict[str, Any]) -> None:
        raise RuntimeError("no")

    queue.register_handler("fine", lambda payload: payload["n"])
    queue.register_handler("unlucky", unlucky, max_retries=0)
    queue.enqueue_many([TaskRequest("fine", {"n": n}, queue="low") for n in range(30)])
    queue.enqueue_many([TaskRequest("unlucky") for _ in range(10)])
    queue.enqueue_task("fine", {"n": 0}, delay_seconds=3600)
    queue.cancel_task(queue.enqueue_task("fine", {"n": 0}, delay_seconds=3600))
    WorkerService.start_workers(2)
    until(lambda: queue.get_analytics()["total_executed"] == 40)
    told = queue.get_analytics()
    assert json.loads(json.dumps(told)) == told
    assert (told["successful"], told["failed"], told["success_rate"], told["queue_size"]) == (30, 10, 0.75, 1)
    for window in ("last_hour", "last_day"):
        assert {name: told[window][name] for name in ("enqueued", "completed", "failed", "retried", "cancelled")} == {
            "enqueued": 42,
            "completed": 30,
            "failed": 10,
            "retried": 0,
            "cancelled": 1,
        }
        assert told[window]["success_rate"] == 0.75
    assert told["last_hour"]["per_second"] == pytest.approx(40 / 3600)
    assert 0 <= told["avg_execution_time"] <= told["max_execution_time"] < 60
    assert 0 <= told["avg_wait_time"] <= told["max_wait_time"] < 60
    assert 1 <= told["peak_concurrent"] <= 40
    assert {name: (one["completed"], one["failed"]) for name, one in told["by_name"].items()} == {
        "fine": (30, 0),
        "unlucky": (0, 10),
    }
    low = told["queues"]["low"]
    assert (low["successful"], low["failed"], low["last_hour"]["enqueued"], low["queue_size"]) == (30, 0, 30, 0)
    assert set(low) == set(told) - {"at", "queues"}


def test_peaks_of_queues_add_up_and_longest_times_do_not(queue: Queue) -> None:
    for name in ("a", "b"):
        queue.enqueue_many([TaskRequest("x", queue=name) for _ in range(2)])
    held = [queue.get_next_task(timeout=5, queues=["a", "b"]) for _ in range(4)]
    for task in held:
        assert task is not None
        queue.complete_task(task)
    told = queue.get_analytics()
    assert told["peak_concurrent"] == 4
    each = [one["max_execution_time"] for one in told["queues"].values()]
    assert told["max_execution_time"] == max(each)
