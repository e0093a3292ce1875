"""Limits of a queue, on every engine, with workers that do the work."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]


class Turnstile:
    """A handler that counts who is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.order: list[str] = []

    def __call__(self, payload: dict[str, Any]) -> None:
        who = payload.get("who", "")
        with self._lock:
            self._inside[who] += 1
            self.most[who] = max(self.most[who], self._inside[who])
        time.sleep(payload.get("seconds", 0.005))
        with self._lock:
            self._inside[who] -= 1
            self.order.append(who)


@pytest.fixture
def turnstile(queue: Queue) -> Turnstile:
    handler = Turnstile()
    queue.register_handler("pass", handler)
    return handler


def test_no_more_handlers_run_at_once_than_the_queue_allows(
    queue: Queue, turnstile: Turnstile, until: Callable[..., object]
) -> None:
    queue.set_queue_limits("default", max_running=2)
    WorkerService.start_workers(8)
    queue.enqueue_many(TaskRequest("pass") for _ in range(60))
    until(lambda: len(turnstile.order) == 60)
    assert turnstile.most[""] == 2


def test_a_limit_that_is_lifted_lets_all_run(queue: Queue, turnstile: Turnstile, until: Callable[..., object]) -> None:
    queue.set_queue_limits("default", max_running=1)
    WorkerService.start_workers(4)
    queue.enqueue_many(TaskRequest("pass", {"seconds": 0.2}) for _ in range(12))
    until(lambda: turnstile.order)
    queue.set_queue_limits("default")
    until(lambda: len(turnstile.order) == 12)
    assert turnstile.most[""] > 1


def test_no_more_tasks_start_in_a_time_than_may(
    queue: Queue, turnstile: Turnstile, until: Callable[..., object]
) -> None:
    queue.set_queue_limits("default", rate=20, per_seconds=0.5)
    WorkerService.start_workers(4)
    ids = queue.enqueue_many(TaskRequest("pass") for _ in range(50))
    until(lambda: len(turnstile.order) == 50)
    starts = sorted(task.started_at.timestamp() for task in map(queue.get_task_status, ids) if task and task.started_at)
    assert len(starts) == 50
    assert max(sum(at <= other < at + 0.5 for other in starts) for at in starts) <= 20


def test_a_queue_that_is_limited_leaves_the_others_alone(
    queue: Queue, turnstile: Turnstile, until: Callable[..., object]
) -> None:
    queue.set_queue_limits("default", rate=1, per_seconds=3600)
    WorkerService.start_workers(2)
    queue.enqueue_many(TaskRequest("pass") for _ in range(5))
    queue.enqueue_many(TaskRequest("pass", {"who": "low"}, queue="low") for _ in range(5))
    until(lambda: turnstile.order.count("low") == 5)
    until(lambda: turnstile.order.count("") == 1)
    assert queue.get_queue_stats("default")["pending_tasks"] == 4


def test_who_asks_for_the_next_task_waits_no_longer_than_the_limit_says(queue: Queue) -> None:
    queue.set_queue_limits("default", rate=1, per_seconds=0.3)
    queue.enqueue_many(TaskRequest("pass") for _ in range(2))
    first, second = (queue.get_next_task(timeout=10) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.started_at is not None
    assert second.started_at is not None
    assert (second.started_at - first.started_at).total_seconds() >= 0.3


def test_serial_tasks_run_one_after_the_other_in_their_order(queue: Queue, until: Callable[..., object]) -> None:
    ran: list[tuple[str, int]] = []
    inside: Counter[str] = Counter()

    def note(payload: dict[str, Any]) -> None:
        inside[payload["key"]] += 1
        assert inside[payload["key"]] == 1, "two at once"
        time.sleep(0.002)
        ran.append((payload["key"], payload["n"]))
        inside[payload["key"]] -= 1
        if payload["n"] == 3:
            raise RuntimeError("one that fails for good")

    queue.register_handler("note", note, max_retries=0)
    WorkerService.start_workers(4)
    requests = [
        TaskRequest("note", {"key": key, "n": n}, unique_key=key, unique="serial") for n in range(20) for key in "ab"
    ]
    ids = queue.enqueue_many(requests)
    assert len(set(ids)) == 40
    until(lambda: len(ran) == 40)
    assert [[n for ran_key, n in ran if ran_key == key] for key in "ab"] == [list(range(20))] * 2


def test_no_more_of_a_key_run_at_once_than_may(
    queue: Queue, turnstile: Turnstile, until: Callable[..., object]
) -> None:
    queue.set_key_limits("default", max_running=2)
    WorkerService.start_workers(8)
    queue.enqueue_many(TaskRequest("pass", {"who": key}, limit_key=key) for _ in range(20) for key in "abc")
    until(lambda: len(turnstile.order) == 60)
    assert turnstile.most == {"a": 2, "b": 2, "c": 2}
    until(lambda: queue.get_queue_stats()["tasks_processed"] == 60)
    stats = queue.get_queue_stats()
    assert (stats["pending_tasks"], stats["delayed_tasks"], stats["running_tasks"]) == (0, 0, 0)


def test_one_with_many_tasks_does_not_hold_up_one_with_few(
    queue: Queue, turnstile: Turnstile, until: Callable[..., object]
) -> None:
    queue.enqueue_many(TaskRequest("pass", {"who": "many", "seconds": 0.001}, limit_key="many") for _ in range(2000))
    queue.enqueue_many(TaskRequest("pass", {"who": "few", "seconds": 0.001}, limit_key="few") for _ in range(3))
    WorkerService.start_workers(2)
    until(lambda: turnstile.order.count("few") == 3)
    # What a worker has in hand may come first, all that waits in the queue may not.
    assert turnstile.order.index("few") < 50
    assert len(turnstile.order) < 1000


def test_a_key_starts_no_more_in_a_time_than_it_may(
    queue: Queue, turnstile: Turnstile, until: Callable[..., object]
) -> None:
    queue.set_key_limits("default", rate=10, per_seconds=0.5)
    WorkerService.start_workers(4)
    ids = {key: queue.enqueue_many(TaskRequest("pass", limit_key=key) for _ in range(15)) for key in "ab"}
    until(lambda: len(turnstile.order) == 30)
    for key in "ab":
        tasks = [queue.get_task_status(task_id) for task_id in ids[key]]
        starts = [task.started_at.timestamp() for task in tasks if task and task.started_at]
        assert len(starts) == 15
        assert max(sum(at <= other < at + 0.5 for other in starts) for at in starts) <= 10


def test_a_task_of_a_key_shows_it_and_what_it_waits_for(queue: Queue) -> None:
    queue.set_key_limits("default", max_running=1)
    ids = [queue.enqueue_task("x", limit_key="tenant 1") for _ in range(3)]
    running = queue.get_next_task(timeout=0)
    assert running is not None
    assert (running.id, running.limit_key) == (ids[0], "tenant 1")
    assert queue.get_next_task(timeout=0) is None
    waiting = queue.get_task_status(ids[1])
    assert waiting is not None
    assert waiting.status is TaskStatus.PENDING
    assert waiting.held_reason == "waits for its turn with the limit key 'tenant 1'"
    assert {task.id for task in queue.list_tasks(status="pending").tasks} == set(ids[1:])
    assert queue.cancel_task(ids[1])
    assert queue.purge_queue("default") == 1
    assert queue.complete_task(running)


def test_a_limit_key_that_is_none_is_refused(queue: Queue) -> None:
    with pytest.raises(ValueError, match="limit_key '' is not usable"):
        queue.enqueue_task("x", limit_key="")
    with pytest.raises(ValueError, match="max_running 0 is out of range"):
        queue.set_key_limits("default", max_running=0)


def test_one_that_waits_for_its_key_is_pending_and_says_why(queue: Queue) -> None:
    first, second = (queue.enqueue_task("x", unique_key="k", unique="serial") for _ in range(2))
    waiting = queue.get_task_status(second)
    assert waiting is not None
    assert (waiting.status, waiting.held_reason) == (TaskStatus.PENDING, "waits for the unique key 'k'")
    assert queue.get_queue_stats()["pending_tasks"] == 2
    assert {task.id for task in queue.list_tasks(status=TaskStatus.PENDING).tasks} == {first, second}
    assert queue.cancel_pending() == 2


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"max_running": 0}, ValueError, "max_running 0 is out of range: 1 to 1,000,000; to start nothing"),
        ({"max_running": True}, TypeError, "max_running True is of type bool"),
        ({"rate": 2.5}, TypeError, "rate 2.5 is of type float, it must be an integer"),
        ({"rate": 1_000_001}, ValueError, "rate 1000001 is out of range"),
        ({"rate": 1, "per_seconds": 0}, ValueError, "per_seconds 0 is out of range: 0.001 to"),
        ({"rate": 1, "per_seconds": "1"}, TypeError, "per_seconds '1' is of type str"),
    ],
)
def test_limits_that_are_none_are_refused(
    queue: Queue, arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        queue.set_queue_limits("default", **arguments)
    with pytest.raises(ValueError, match="queue"):
        queue.set_queue_limits("no such name", max_running=1)
