"""What the queue does, on every engine."""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from singleton_service.background.task_queue import (
    Task,
    TaskFailedError,
    TaskNotFoundError,
    TaskPriority,
    TaskQueueService,
    TaskRequest,
    TaskStatus,
)

Queue = type[TaskQueueService]


def take(queue: Queue, timeout: float = 5) -> Task:
    task = queue.get_next_task(timeout=timeout)
    assert task is not None
    return task


def test_a_task_comes_back_exactly_as_it_went_in(queue: Queue) -> None:
    payload = {"to": "a@b.c", "n": 1, "x": 1.5, "none": None, "deep": {"list": [1, "zwei", True]}, "é": "\ud800"}
    before = datetime.now(UTC)
    task_id = queue.enqueue_task("send_email", payload)
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.id, task.name, task.payload, task.status) == (task_id, "send_email", payload, TaskStatus.PENDING)
    assert abs(task.created_at - before) < timedelta(seconds=5)
    assert task.created_at.tzinfo is UTC
    assert (task.started_at, task.completed_at, task.error_message) == (None, None, None)
    assert (task.retry_count, task.max_retries, task.queue) == (0, 3, "default")


def test_tasks_of_one_priority_come_in_the_order_they_went_in(queue: Queue) -> None:
    ids = [queue.enqueue_task("count", {"n": n}) for n in range(5)]
    assert [take(queue).id for _ in ids] == ids


def test_a_higher_priority_comes_first(queue: Queue) -> None:
    ids = {priority: queue.enqueue_task("count", priority=priority) for priority in TaskPriority}
    assert [take(queue).id for _ in ids] == [ids[priority] for priority in sorted(ids, reverse=True)]


def test_queues_are_taken_strictly_in_their_order(queue: Queue) -> None:
    low, default = queue.enqueue_task("a", queue="low"), queue.enqueue_task("b")
    critical = queue.enqueue_task("c", queue="critical")
    assert [take(queue).id for _ in range(3)] == [critical, default, low]
    other = queue.enqueue_task("d", queue="reports")
    assert queue.get_next_task(timeout=0) is None
    task = queue.get_next_task(timeout=0, queues=["reports"])
    assert task is not None
    assert task.id == other


def test_a_taken_task_is_running_and_finished_by_its_record(queue: Queue) -> None:
    queue.enqueue_task("add", {"a": 1})
    task = take(queue)
    assert (task.status, task.payload) == (TaskStatus.RUNNING, {"a": 1})
    assert task.started_at is not None
    assert queue.complete_task(task, {"sum": 2})
    done = queue.get_task_status(task.id)
    assert done is not None
    assert (done.status, done.result, done.payload) == (TaskStatus.COMPLETED, {"sum": 2}, {"a": 1})
    assert done.completed_at is not None
    assert done.started_at == task.started_at
    assert queue.get_result(task.id) == {"sum": 2}


def test_a_task_is_finished_by_its_id_where_it_was_taken(queue: Queue) -> None:
    queue.enqueue_task("add")
    assert queue.complete_task(take(queue).id)


def test_a_second_finish_changes_nothing(queue: Queue) -> None:
    queue.enqueue_task("add")
    task = take(queue)
    assert queue.complete_task(task, 1)
    assert not queue.complete_task(task, 2)
    assert not queue.fail_task(task, "late")
    assert not queue.complete_task(task.id, 3)
    assert queue.get_result(task.id) == 1
    assert queue.get_queue_stats()["tasks_processed"] == 1


def test_unknown_and_malformed_ids_are_unknown_never_an_error(queue: Queue) -> None:
    for task_id in ("", "nonsense", "default.", "default.xyz", "default.=never", "a b.10" + "0" * 19):
        assert queue.get_task_status(task_id) is None
        assert queue.complete_task(task_id) is False
        assert queue.fail_task(task_id, "x") is False
        with pytest.raises(TaskNotFoundError):
            queue.get_result(task_id)


def test_two_threads_with_a_lease_each_cannot_finish_each_others_by_id(queue: Queue, until: Any) -> None:
    queue.register_handler("job", print, retry_delay_seconds=0)
    task_id = queue.enqueue_task("job")
    first = take(queue)
    answers: list[bool] = []
    taken = threading.Event()
    finish = threading.Event()

    def other_thread() -> None:
        assert take(queue).id == task_id
        taken.set()
        assert finish.wait(10)
        answers.append(queue.complete_task(task_id, "second"))

    assert queue.fail_task(first, "first attempt")
    thread = threading.Thread(target=other_thread)
    thread.start()
    assert taken.wait(10)
    # This thread fetched it once, the other one has it now: the id alone means nothing here.
    assert queue.complete_task(task_id, "first") is False
    assert queue.complete_task(first, "first") is False
    finish.set()
    thread.join()
    assert answers == [True]
    assert queue.get_result(task_id) == "second"


def test_delayed_tasks_are_not_early_and_not_forgotten(queue: Queue) -> None:
    began = time.monotonic()
    task_id = queue.enqueue_task("later", delay_seconds=0.4)
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.status, queue.get_queue_stats()["delayed_tasks"]) == (TaskStatus.PENDING, 1)
    assert task.eta is not None
    assert queue.get_next_task(timeout=0) is None
    assert take(queue).id == task_id
    assert time.monotonic() - began >= 0.4


def test_eta_is_a_point_in_time_and_naive_ones_are_local(queue: Queue) -> None:
    aware = datetime.now(UTC) + timedelta(hours=1)
    naive = datetime.now() + timedelta(hours=1)  # noqa: DTZ005 - that is the point
    for eta in (aware, naive):
        task = queue.get_task_status(queue.enqueue_task("later", eta=eta))
        assert task is not None
        assert task.eta is not None
        assert abs(task.eta - aware) < timedelta(seconds=5)


def test_failed_attempts_are_tried_again_then_failed_for_good(queue: Queue) -> None:
    queue.register_handler("flaky", print, retry_delay_seconds=0.01)
    task_id = queue.enqueue_task("flaky", max_retries=2)
    for attempt in range(3):
        task = take(queue)
        assert (task.id, task.retry_count) == (task_id, attempt)
        assert queue.fail_task(task, f"attempt {attempt}")
        if attempt < 2:
            retrying = queue.get_task_status(task_id)
            assert retrying is not None
            assert (retrying.status, retrying.retry_count) == (TaskStatus.RETRYING, attempt + 1)
            assert retrying.error_message == f"attempt {attempt}"
    failed = queue.get_task_status(task_id)
    assert failed is not None
    assert (failed.status, failed.error_message, failed.retry_count) == (TaskStatus.FAILED, "attempt 2", 2)
    assert [error.message for error in failed.errors] == ["attempt 0", "attempt 1", "attempt 2"]
    assert failed.completed_at is not None
    with pytest.raises(TaskFailedError, match="attempt 2"):
        queue.get_result(task_id)
    stats = queue.get_queue_stats()
    assert (stats["tasks_failed"], stats["tasks_retried"], stats["failed_tasks"]) == (1, 2, 1)


def test_retries_wait_as_the_earlier_system_documents(queue: Queue) -> None:
    task_id = queue.enqueue_task("flaky")
    task = take(queue)
    before = datetime.now(UTC)
    queue.fail_task(task, "no")
    retrying = queue.get_task_status(task_id)
    assert retrying is not None
    assert retrying.eta is not None
    assert abs(retrying.eta - before - timedelta(seconds=120)) < timedelta(seconds=5)


def test_fail_without_retry_is_final(queue: Queue) -> None:
    queue.enqueue_task("bad")
    task = take(queue)
    assert queue.fail_task(task.id, "never again", retry=False)
    failed = queue.get_task_status(task.id)
    assert failed is not None
    assert failed.status is TaskStatus.FAILED


def test_the_same_task_id_is_the_same_task(queue: Queue) -> None:
    first = queue.enqueue_task("invoice", {"n": 1}, task_id="invoice-1")
    assert first == "default.=invoice-1"
    assert queue.enqueue_task("invoice", {"n": 2}, task_id="invoice-1") == first
    task = take(queue)
    assert task.payload == {"n": 1}
    assert queue.get_next_task(timeout=0) is None
    assert queue.complete_task(task)
    assert queue.enqueue_task("invoice", task_id="invoice-1") == first
    assert queue.get_next_task(timeout=0) is None
    assert queue.get_queue_stats()["tasks_queued"] == 1


def test_many_of_several_priorities_go_in_together(queue: Queue) -> None:
    priorities = [TaskPriority(n % 4) for n in range(40)]
    ids = queue.enqueue_many([TaskRequest("x", {"n": n}, priority=each) for n, each in enumerate(priorities)])
    taken = [queue.get_next_task(timeout=5) for _ in ids]
    assert [task.id for task in taken if task] == sorted(ids, key=lambda task_id: -priorities[ids.index(task_id)])


def test_many_are_checked_before_any_is_written(queue: Queue) -> None:
    with pytest.raises(ValueError, match="delay_seconds -1") as caught:
        queue.enqueue_many([TaskRequest("a"), TaskRequest("b", delay_seconds=-1)])
    assert "request number 1" in caught.value.__notes__[0]
    assert queue.get_queue_stats()["tasks_queued"] == 0


def test_many_go_in_together_and_keep_their_order(queue: Queue) -> None:
    requests = [TaskRequest("a", {"n": n}, queue="low" if n % 2 else None) for n in range(2500)]
    ids = queue.enqueue_many(requests)
    assert len(set(ids)) == 2500
    assert queue.get_queue_stats()["pending_tasks"] == 2500
    for n in (0, 1, 1999, 2499):
        task = queue.get_task_status(ids[n])
        assert task is not None
        assert task.payload == {"n": n}


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"name": ""}, ValueError, "1 to 200 printable"),
        ({"name": "x" * 201}, ValueError, "201 characters"),
        ({"name": " x"}, ValueError, "no space around"),
        ({"name": 7}, TypeError, "must be a string"),
        ({"payload": [1]}, TypeError, "must be a dict"),
        ({"payload": {1: 2}}, TypeError, "use '1'"),
        ({"payload": {"d": datetime(2024, 1, 1, tzinfo=UTC)}}, TypeError, "datetime"),
        ({"payload": {"x": math.nan}}, ValueError, "NaN"),
        ({"payload": {"x": "y" * 2_000_000}}, ValueError, "TASKS_MAX_PAYLOAD_BYTES"),
        ({"delay_seconds": -9}, ValueError, "-9"),
        ({"delay_seconds": math.nan}, ValueError, "nan"),
        ({"delay_seconds": math.inf}, ValueError, "inf"),
        ({"delay_seconds": "5"}, TypeError, "number of seconds"),
        ({"delay_seconds": True}, TypeError, "number of seconds"),
        ({"max_retries": -3}, ValueError, "-3"),
        ({"max_retries": 1.5}, TypeError, "integer"),
        ({"queue": "a b"}, ValueError, "'a b'"),
        ({"queue": "-a"}, ValueError, "queue"),
        ({"priority": 9}, ValueError, "TaskPriority.CRITICAL"),
        ({"eta": "tomorrow"}, TypeError, "datetime"),
        ({"eta": datetime(2024, 1, 1, tzinfo=UTC), "delay_seconds": 5}, ValueError, "one of them"),
        ({"task_id": "a.b"}, ValueError, "invoice-2024-0042"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    queue: Queue, arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        queue.enqueue_task(**{"name": "ok", **arguments})
    assert queue.get_queue_stats()["tasks_queued"] == 0


def test_a_circular_payload_is_refused(queue: Queue) -> None:
    payload: dict[str, Any] = {}
    payload["self"] = payload
    with pytest.raises(ValueError, match="ircular"):
        queue.enqueue_task("x", payload)


def test_a_result_that_is_not_json_is_refused_and_the_task_still_held(queue: Queue) -> None:
    queue.enqueue_task("x")
    task = take(queue)
    with pytest.raises(TypeError):
        queue.complete_task(task, object())
    assert queue.complete_task(task, "now it is")


def test_a_result_is_waited_for(queue: Queue) -> None:
    task_id = queue.enqueue_task("x")
    with pytest.raises(TimeoutError, match="pending"):
        queue.get_result(task_id)
    with pytest.raises(TimeoutError):
        queue.get_result(task_id, timeout=0.05)
    task = take(queue)
    results: list[Any] = []
    waiter = threading.Thread(target=lambda: results.append(queue.get_result(task_id, timeout=30)))
    waiter.start()
    assert queue.complete_task(task, 42)
    waiter.join(10)
    assert results == [42]


def test_results_are_forgotten_after_their_time(queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Any) -> None:
    monkeypatch.setenv("TASKS_RESULT_TTL_SECONDS", "0.05")
    task_id = queue.enqueue_task("x")
    assert queue.complete_task(take(queue), 1)
    until(lambda: queue.get_task_status(task_id) is None)
    assert queue.clean_up() <= 1, "a heartbeat may have been first"
    assert queue.get_queue_stats()["results_kept"] == 0


def test_only_so_many_results_are_kept(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_MAX_RESULTS", "10")
    ids = queue.enqueue_many([TaskRequest("x") for _ in range(25)])
    for _ in ids:
        assert queue.complete_task(take(queue))
    assert queue.get_queue_stats()["results_kept"] <= 11
    assert queue.get_task_status(ids[-1]) is not None
    assert queue.get_task_status(ids[0]) is None


def test_tasks_are_listed_by_status(queue: Queue) -> None:
    ids = queue.enqueue_many([TaskRequest("x", {"n": n}) for n in range(6)])
    queue.enqueue_task("later", delay_seconds=60, queue="low")
    done, failed, retrying, running = (take(queue) for _ in range(4))
    queue.complete_task(done)
    queue.fail_task(failed, "no", retry=False)
    queue.fail_task(retrying, "again")

    def listed(status: TaskStatus | None) -> set[str]:
        return {task.id for task in queue.list_tasks(status=status, queue="default").tasks}

    assert listed(TaskStatus.COMPLETED) == {done.id}
    assert listed(TaskStatus.FAILED) == {failed.id}
    assert listed(TaskStatus.RETRYING) == {retrying.id}
    assert listed(TaskStatus.RUNNING) == {running.id}
    assert listed(TaskStatus.PENDING) == set(ids[4:])
    assert listed(None) == set(ids)
    assert len(queue.list_tasks().tasks) == 7
    with pytest.raises(ValueError, match="cursor"):
        queue.list_tasks(cursor="x")
    with pytest.raises(ValueError, match="limit"):
        queue.list_tasks(limit=0)


@pytest.mark.parametrize("number", [30, 1200])
def test_every_task_is_on_some_page(queue: Queue, number: int) -> None:
    ids = set(queue.enqueue_many([TaskRequest("x") for _ in range(number)]))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = queue.list_tasks(limit=7, cursor=cursor)
        assert len(page.tasks) <= 7
        seen += [task.id for task in page.tasks]
        cursor = page.cursor
        if cursor is None:
            break
    assert set(seen) == ids


def test_statistics_have_the_documented_keys(queue: Queue) -> None:
    queue.enqueue_task("x")
    stats = queue.get_queue_stats()
    assert stats.keys() >= {
        "tasks_queued",
        "tasks_processed",
        "tasks_failed",
        "tasks_retried",
        "pending_tasks",
        "delayed_tasks",
    }
    assert (stats["tasks_queued"], stats["pending_tasks"]) == (1, 1)


def test_a_newer_protocol_refuses_to_be_written_to(queue: Queue) -> None:
    queue.enqueue_task("x")
    client = queue._open_client()
    client.link.call(b"HSET", client.protocol("default").keys.key("settings"), b"protocol", 99)
    client._registered.clear()
    with pytest.raises(Exception, match=r"protocol 99.*Upgrade"):
        queue.enqueue_task("x")
    assert queue.get_queue_stats()["tasks_queued"] == 1


def test_the_script_cache_may_vanish_at_any_time(queue: Queue) -> None:
    task_id = queue.enqueue_task("x")
    queue._open_client().link.call(b"SCRIPT", b"FLUSH")
    task = take(queue)
    queue._open_client().link.call(b"SCRIPT", b"FLUSH")
    assert queue.complete_task(task, 1)
    assert queue.get_result(task_id) == 1


def test_ping_answers_and_never_raises(queue: Queue) -> None:
    assert queue.ping() is False
    queue.enqueue_task("x")
    assert queue.ping() is True
