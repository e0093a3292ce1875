"""Changing what lies in the queue, on every engine."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    Task,
    TaskCancelledError,
    TaskExpiredError,
    TaskFailedError,
    TaskQueueService,
    TaskRequest,
    TaskStatus,
)
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    import threading

Queue = type[TaskQueueService]


def take(queue: Queue) -> Task:
    task = queue.get_next_task(timeout=5)
    assert task is not None
    return task


def status(queue: Queue, task_id: str) -> TaskStatus | None:
    task = queue.get_task_status(task_id)
    return task.status if task else None


def test_a_cancelled_task_never_runs(queue: Queue) -> None:
    ready, later = queue.enqueue_task("x"), queue.enqueue_task("x", delay_seconds=60)
    kept = queue.enqueue_task("x")
    for task_id in (ready, later):
        assert queue.cancel_task(task_id)
        assert not queue.cancel_task(task_id)
        assert status(queue, task_id) is TaskStatus.CANCELLED
        with pytest.raises(TaskCancelledError):
            queue.get_result(task_id)
    stats = queue.get_queue_stats()
    assert (stats["pending_tasks"], stats["delayed_tasks"], stats["tasks_cancelled"]) == (1, 0, 2)
    assert take(queue).id == kept
    assert queue.get_next_task(timeout=0) is None
    assert queue.get_queue_stats()["pending_tasks"] == 0


def test_who_waits_for_a_cancelled_task_is_told(queue: Queue, in_thread: Any) -> None:
    task_id = queue.enqueue_task("x")

    def wait() -> None:
        with pytest.raises(TaskCancelledError):
            queue.get_result(task_id, timeout=30)

    waiting: threading.Thread = in_thread(wait)
    assert queue.cancel_task(task_id)
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_running_task_that_is_cancelled_is_not_run_again(queue: Queue) -> None:
    queue.register_handler("x", print, retry_delay_seconds=0)
    task_id = queue.enqueue_task("x")
    task = take(queue)
    assert queue.cancel_task(task_id)
    assert status(queue, task_id) is TaskStatus.RUNNING
    assert queue.fail_task(task, "stopped")
    assert status(queue, task_id) is TaskStatus.CANCELLED
    assert queue.get_next_task(timeout=0) is None
    cancelled = queue.get_task_status(task_id)
    assert cancelled is not None
    assert [error.message for error in cancelled.errors] == ["stopped"]


def test_a_running_task_that_completes_in_spite_of_its_cancellation_has_completed(queue: Queue) -> None:
    queue.enqueue_task("x")
    task = take(queue)
    assert queue.cancel_task(task.id)
    assert queue.complete_task(task, 1)
    assert queue.get_result(task.id) == 1


def test_unknown_and_finished_tasks_are_not_cancelled(queue: Queue) -> None:
    task_id = queue.enqueue_task("x")
    queue.complete_task(take(queue))
    for unknown in (task_id, "default.=never", "nonsense"):
        assert queue.cancel_task(unknown) is False
        assert queue.retry_task(unknown) is False


def test_pending_tasks_are_cancelled_by_name_and_queue(queue: Queue) -> None:
    queue.enqueue_many([TaskRequest("a") for _ in range(30)] + [TaskRequest("b", queue="low") for _ in range(5)])
    queue.enqueue_task("a", delay_seconds=60, queue="low")
    assert queue.cancel_pending(names=["a"], queue="low") == 1
    assert queue.cancel_pending(names=["a"]) == 30
    assert queue.cancel_pending() == 5


def test_a_failed_task_is_retried_with_all_its_retries(queue: Queue) -> None:
    queue.enqueue_task("x", max_retries=0)
    task = take(queue)
    queue.fail_task(task, "first")
    assert queue.retry_task(task.id)
    assert not queue.retry_task(task.id)
    again = take(queue)
    assert (again.id, again.retry_count) == (task.id, 0)
    queue.complete_task(again, "at last")
    done = queue.get_task_status(task.id)
    assert done is not None
    assert (done.result, [error.message for error in done.errors]) == ("at last", ["first"])
    stats = queue.get_queue_stats()
    assert (stats["tasks_failed"], stats["tasks_revived"], stats["failed_tasks"]) == (1, 1, 0)


def test_failed_tasks_are_retried_in_bulk(queue: Queue) -> None:
    queue.enqueue_many([TaskRequest(name, max_retries=0) for name in ("a", "a", "b")])
    for _ in range(3):
        queue.fail_task(take(queue), "no", retry=False)
    assert queue.retry_failed(names=["a"]) == 2
    assert queue.retry_failed(queue="low") == 0
    assert queue.retry_failed() == 1
    assert queue.get_queue_stats()["pending_tasks"] == 3


def test_failed_tasks_are_deleted_in_bulk(queue: Queue) -> None:
    queue.enqueue_many([TaskRequest(name, max_retries=0) for name in ("a", "a", "b")])
    for _ in range(3):
        queue.fail_task(take(queue), "no", retry=False)
    pending = queue.enqueue_task("a")
    assert queue.delete_failed(names=["a"]) == 2
    assert queue.delete_failed(queue="low") == 0
    assert queue.delete_failed() == 1
    assert queue.delete_failed() == 0
    assert [task.id for task in queue.list_tasks().tasks] == [pending]


def test_what_failed_last_comes_first(queue: Queue) -> None:
    assert queue.get_recent_failures() == []
    names = ["default", "low", "default"]
    failed = [queue.enqueue_task("x", max_retries=0, queue=name) for name in names]
    for n, name in enumerate(names):
        task = queue.get_next_task(timeout=5, queues=[name])
        assert task is not None
        queue.fail_task(task, f"error {n}", retry=False)
        time.sleep(0.002)  # the server's clock counts ms
    assert [task.id for task in queue.get_recent_failures()] == failed[::-1]
    assert [task.error_message for task in queue.get_recent_failures(2)] == ["error 2", "error 1"]
    assert [task.id for task in queue.get_recent_failures(queue="low")] == [failed[1]]
    assert queue.retry_task(failed[2])
    assert [task.id for task in queue.get_recent_failures()] == [failed[1], failed[0]]
    with pytest.raises(ValueError, match="limit 0 is out of range: 1 to 1000"):
        queue.get_recent_failures(0)


def test_queues_are_listed_by_name(queue: Queue) -> None:
    assert queue.list_queues() == []
    for name in ("low", "critical", "low"):
        queue.enqueue_task("x", queue=name)
    assert queue.list_queues() == ["critical", "low"]


def test_only_ended_tasks_are_deleted(queue: Queue) -> None:
    done, failed, pending = (queue.enqueue_task("x") for _ in range(3))
    queue.complete_task(take(queue))
    queue.fail_task(take(queue), "no", retry=False)
    assert queue.delete_task(done)
    assert queue.delete_task(failed)
    assert not queue.delete_task(pending)
    assert not queue.delete_task(done)
    assert [status(queue, task_id) for task_id in (done, failed, pending)] == [None, None, TaskStatus.PENDING]


def test_a_paused_queue_hands_out_nothing_and_takes_everything(queue: Queue) -> None:
    queue.register_handler("x", lambda payload: "ran")
    WorkerService.start_workers(1)
    assert queue.pause_queue("default")
    assert not queue.pause_queue("default")
    task_id = queue.enqueue_task("x")
    with pytest.raises(TimeoutError):
        queue.get_result(task_id, timeout=0.3)
    assert queue.get_queue_stats()["paused_queues"] == 1
    assert queue.resume_queue("default")
    assert not queue.resume_queue("default")
    assert queue.get_result(task_id, timeout=10) == "ran"


def test_a_purged_queue_is_empty_and_what_ran_goes_on(queue: Queue) -> None:
    ids = queue.enqueue_many([TaskRequest("x") for _ in range(1500)])
    queue.enqueue_task("x", delay_seconds=60)
    running = take(queue)
    assert queue.cancel_task(ids[700])
    assert queue.purge_queue("default") == 1499
    assert queue.purge_queue("default") == 0
    stats = queue.get_queue_stats()
    assert (stats["pending_tasks"], stats["delayed_tasks"], stats["tasks_cancelled"]) == (0, 0, 1500)
    assert status(queue, ids[5]) is TaskStatus.CANCELLED
    assert queue.complete_task(running)


def test_a_task_says_when_it_is_not_wanted_any_more(queue: Queue) -> None:
    before = datetime.now(UTC)
    ids = [queue.enqueue_task("x", expires_in=3600), queue.enqueue_task("x")]
    wanted, unlimited = (queue.get_task_status(task_id) for task_id in ids)
    assert wanted is not None
    assert unlimited is not None
    assert wanted.expires_at is not None
    assert abs(wanted.expires_at - before - timedelta(hours=1)) < timedelta(minutes=1)
    assert unlimited.expires_at is None
    assert [task.expires_at for task in queue.list_tasks().tasks if task.id == ids[0]] == [wanted.expires_at]


def test_an_expired_task_is_expired_for_every_reader_and_never_runs(queue: Queue, until: Any) -> None:
    task_id = queue.enqueue_task("x", expires_in=0.05)
    later = queue.enqueue_task("x", expires_in=0.05, delay_seconds=60)
    # Nobody has swept: no worker runs, nothing is enqueued.
    until(lambda: {status(queue, each) for each in (task_id, later)} == {TaskStatus.EXPIRED})
    with pytest.raises(TaskExpiredError, match="expires_in"):
        queue.get_result(task_id)
    assert {task.id for task in queue.list_tasks(status="expired").tasks} == {task_id, later}
    assert not queue.cancel_task(task_id)
    assert queue.get_next_task(timeout=0) is None
    until(lambda: queue.get_queue_stats()["tasks_expired"] == 2)
    assert status(queue, later) is TaskStatus.EXPIRED
    assert queue.get_queue_stats()["pending_tasks"] == 0


def test_a_started_task_does_not_expire(queue: Queue, until: Any) -> None:
    queue.register_handler("x", print, retry_delay_seconds=0)
    queue.enqueue_task("x", expires_in=0.3)
    other = queue.enqueue_task("y", expires_in=0.3)
    task = take(queue)
    until(lambda: status(queue, other) is TaskStatus.EXPIRED)
    assert status(queue, task.id) is TaskStatus.RUNNING
    queue.fail_task(task, "again")
    again = take(queue)
    assert again.id == task.id
    assert queue.complete_task(again)


def test_a_unique_key_is_one_unfinished_task(queue: Queue) -> None:
    first = queue.enqueue_task("x", {"n": 1}, unique_key="customer-1")
    assert queue.enqueue_task("x", {"n": 2}, unique_key="customer-1") == first
    other = queue.enqueue_task("x", unique_key="customer-2")
    assert other != first
    many = queue.enqueue_many([TaskRequest("x", unique_key=key) for key in ("customer-1", "new", "new")])
    assert many[0] == first
    assert many[1] == many[2]
    task = take(queue)
    assert (task.id, task.unique_key) == (first, "customer-1")
    assert queue.enqueue_task("x", unique_key="customer-1") == first
    queue.fail_task(task, "again")
    assert queue.enqueue_task("x", unique_key="customer-1") == first
    assert queue.cancel_task(first)
    assert queue.enqueue_task("x", unique_key="customer-1") != first


@pytest.mark.parametrize("ending", ["complete", "fail", "expire", "purge"])
def test_every_ending_frees_the_unique_key(queue: Queue, ending: str, until: Any) -> None:
    expires_in = 0.05 if ending == "expire" else None
    first = queue.enqueue_task("x", unique_key="k", expires_in=expires_in)
    if ending == "complete":
        queue.complete_task(take(queue))
    elif ending == "fail":
        queue.fail_task(take(queue), "no", retry=False)
    elif ending == "purge":
        queue.purge_queue("default")
    else:
        until(lambda: status(queue, first) is TaskStatus.EXPIRED)
    assert queue.enqueue_task("x", unique_key="k") != first


def test_a_replaced_task_is_cancelled_unless_it_runs(queue: Queue) -> None:
    first = queue.enqueue_task("x", {"n": 1}, unique_key="k")
    second = queue.enqueue_task("x", {"n": 2}, unique_key="k", unique="replace")
    assert second != first
    assert status(queue, first) is TaskStatus.CANCELLED
    delayed = queue.enqueue_task("x", {"n": 3}, unique_key="k", unique="replace", delay_seconds=60)
    third = queue.enqueue_task("x", {"n": 4}, unique_key="k", unique="replace")
    assert status(queue, delayed) is TaskStatus.CANCELLED
    task = take(queue)
    assert (task.id, task.payload) == (third, {"n": 4})
    assert queue.enqueue_task("x", {"n": 5}, unique_key="k", unique="replace") == third


def test_a_failed_task_whose_key_is_taken_stays_failed_and_says_who_has_it(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    first = queue.enqueue_task("x", unique_key="k")
    queue.fail_task(take(queue), "no", retry=False)
    second = queue.enqueue_task("x", unique_key="k")
    assert queue.retry_task(first) is False
    assert second in caplog.text
    assert status(queue, first) is TaskStatus.FAILED
    queue.complete_task(take(queue))
    assert queue.retry_task(first)
    assert queue.enqueue_task("x", unique_key="k") == first


def test_tags_stay_with_a_task(queue: Queue) -> None:
    task_id = queue.enqueue_task("x", tags=["nightly", "eu"])
    task = queue.get_task_status(task_id)
    assert task is not None
    assert task.tags == ("nightly", "eu")


def test_tasks_are_listed_by_name_and_by_tag(queue: Queue) -> None:
    queue.enqueue_many([TaskRequest("a"), TaskRequest("b", tags=["x"]), TaskRequest("a", tags=["x", "y"], queue="low")])
    assert [task.name for task in queue.list_tasks(name="a").tasks] == ["a", "a"]
    assert {task.name for task in queue.list_tasks(tag="x").tasks} == {"a", "b"}
    assert [task.tags for task in queue.list_tasks(name="a", tag="x", status="pending").tasks] == [("x", "y")]
    assert queue.list_tasks(tag="x", queue="low", name="b").tasks == []


def test_a_queue_that_comes_between_two_pages_hides_no_task_of_another(queue: Queue) -> None:
    ids = [queue.enqueue_task("x", queue=name) for name in ("b", "d", "f") for _ in range(5)]
    page = queue.list_tasks(limit=7)
    told = [task.id for task in page.tasks]
    queue.enqueue_task("x", queue="a")
    queue.enqueue_task("x", queue="c")
    while page.cursor is not None:
        page = queue.list_tasks(limit=7, cursor=page.cursor)
        told += [task.id for task in page.tasks]
    assert set(ids) <= set(told)


def test_held_tasks_are_listed_as_pending_with_their_reason(queue: Queue, until: Any) -> None:
    queue.register_handler("known", print)
    held = queue.enqueue_task("nobody-knows-it")
    WorkerService.start_workers(1)
    until(lambda: queue.get_queue_stats()["held_tasks"] == 1)
    (told,) = queue.list_tasks(status="pending").tasks
    assert (told.id, told.held_reason) == (held, "No handler registered for task: nobody-knows-it")


def test_each_failed_attempt_is_kept_with_its_traceback(queue: Queue) -> None:
    def flaky(payload: dict[str, Any]) -> None:
        raise RuntimeError(f"attempt {next(numbers)}")

    numbers = iter(range(10))
    queue.register_handler("flaky", flaky, max_retries=2, retry_delay_seconds=0)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("flaky")
    with pytest.raises(TaskFailedError):
        queue.get_result(task_id, timeout=10)
    (failed,) = queue.list_tasks(status="failed").tasks
    assert [error.message for error in failed.errors] == [f"Task execution failed: attempt {n}" for n in range(3)]
    assert all('raise RuntimeError(f"attempt' in (error.traceback or "") for error in failed.errors)
    assert [error.when for error in failed.errors] == sorted(error.when for error in failed.errors)


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        ({"status": "done"}, ValueError, "status 'done' is unknown: it is one of pending, running"),
        ({"status": []}, ValueError, r"status \[\] is unknown"),
        ({"name": ""}, ValueError, "task name"),
        ({"tag": ["x"]}, TypeError, "tag"),
        ({"limit": 1001}, ValueError, "limit 1001"),
        ({"cursor": "page 2"}, ValueError, "cursor 'page 2' is none"),
    ],
)
def test_what_can_not_be_listed_is_refused(
    queue: Queue, wanted: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        queue.list_tasks(**wanted)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"expires_in": 0}, ValueError, "expires_in"),
        ({"expires_in": -1}, ValueError, "expires_in"),
        ({"expires_in": "1"}, TypeError, "expires_in"),
        ({"unique_key": ""}, ValueError, "unique_key"),
        ({"unique_key": 5}, TypeError, "customer-42"),
        ({"unique_key": "k", "unique": "never"}, ValueError, "'drop', 'replace'"),
        ({"tags": "nightly"}, TypeError, "list of strings"),
        ({"tags": ["x"] * 21}, ValueError, "at most 20"),
    ],
)
def test_bad_arguments_are_refused(queue: Queue, arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        queue.enqueue_task("x", **arguments)
    assert queue.get_queue_stats()["tasks_queued"] == 0
