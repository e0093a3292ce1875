"""Queues in order and by weight, on every engine."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest
from singleton_service.background.worker import WorkerService

Queue = type[TaskQueueService]
NAMES = ("critical", "default", "low")
WEIGHTED = "critical:6,default:3,low:1"


def fill(queue: Queue, number: int, names: tuple[str, ...] = NAMES) -> None:
    queue.enqueue_many([TaskRequest("note", {"queue": name}, queue=name) for name in names for _ in range(number)])


def takes(queue: Queue, number: int, order: Any) -> Counter[str]:
    """Take and finish so many tasks, one after the other, and count whence they came."""
    taken: Counter[str] = Counter()
    for _ in range(number):
        task = queue.get_next_task(timeout=5, queues=order)
        assert task is not None
        assert queue.complete_task(task)
        taken[task.queue] += 1
    return taken


def test_workers_share_themselves_by_weight_among_full_queues(queue: Queue, until: Any) -> None:
    done: list[str] = []

    def note(payload: dict[str, Any]) -> None:
        time.sleep(0.001)
        done.append(payload["queue"])

    queue.register_handler("note", note)
    fill(queue, 800)
    WorkerService.start_workers(4, queues=WEIGHTED)
    until(lambda: len(done) >= 800)
    WorkerService.stop_workers()
    first = Counter(done[:800])
    # 480, 240 and 80, give or take what is held ready; in strict order it were 800, 0, 0, in equal turns 267 each.
    assert 380 <= first["critical"] <= 600
    assert 150 <= first["default"] <= 330
    assert 30 <= first["low"] <= 150


@pytest.mark.parametrize("order", [WEIGHTED, WEIGHTED.split(","), {"critical": 6, "default": 3, "low": 1}])
def test_whoever_takes_tasks_by_hand_takes_them_by_weight(queue: Queue, order: Any) -> None:
    fill(queue, 40)
    taken = takes(queue, 40, order)
    assert 23 <= taken["critical"] <= 25
    assert 11 <= taken["default"] <= 13
    assert 3 <= taken["low"] <= 5


def test_the_share_of_a_paused_and_of_an_unknown_queue_goes_to_the_others(queue: Queue) -> None:
    fill(queue, 40)
    queue.pause_queue("critical")
    taken = takes(queue, 40, {"never-was": 90, **dict.fromkeys(["critical"], 6), "default": 3, "low": 1})
    assert 29 <= taken["default"] <= 31
    assert 9 <= taken["low"] <= 11
    assert queue.resume_queue("critical")
    assert takes(queue, 10, "never-was:90,critical:6,default:3,low:1")["critical"] >= 5


def test_a_queue_that_is_never_empty_starves_no_other(queue: Queue) -> None:
    def again(payload: dict[str, Any]) -> None:
        time.sleep(0.001)
        queue.enqueue_task("again", queue="critical")

    queue.register_handler("again", again)
    queue.register_handler("note", lambda payload: "at last")
    queue.enqueue_many([TaskRequest("again", queue="critical") for _ in range(200)])
    WorkerService.start_workers(2, queues="critical:20,low:1")
    for _ in range(3):
        assert queue.get_result(queue.enqueue_task("note", queue="low"), timeout=15) == "at last"
    WorkerService.stop_workers()
    assert queue.get_queue_stats("critical")["pending_tasks"] > 0, "it was never empty"


def test_a_weighted_worker_wakes_for_each_of_its_queues(queue: Queue, until: Any) -> None:
    queue.register_handler("note", lambda payload: payload["queue"])
    WorkerService.start_workers(1, queues=WEIGHTED)
    until(lambda: queue.get_queue_stats()["workers"] == 1)
    for name in (*reversed(NAMES), *NAMES):
        assert queue.get_result(queue.enqueue_task("note", {"queue": name}, queue=name), timeout=10) == name


def test_an_order_that_can_not_be_is_refused_before_anything_starts(queue: Queue) -> None:
    with pytest.raises(ValueError, match="'b' has no weight"):
        WorkerService.start_workers(1, queues="a:6,b")
    with pytest.raises(ValueError, match="'b' has no weight"):
        queue.get_next_task(timeout=0, queues="a:6,b")
    assert WorkerService.get_worker_stats()["is_running"] is False


def test_workers_that_run_for_other_queues_are_said_to(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    WorkerService.start_workers(2, queues="critical,default")
    WorkerService.start_workers(2, queues=["critical", "default"])
    assert "run already" not in caplog.text
    WorkerService.start_workers(2, queues="critical:6,default:1")
    assert "2 workers run already, for queues critical,default; stop them first" in caplog.text
    assert "to have 2 for critical:6,default:1" in caplog.text
