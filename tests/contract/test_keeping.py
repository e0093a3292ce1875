"""How long what became of a task is kept, and how much of it, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    Task,
    TaskCancelledError,
    TaskNotFoundError,
    TaskQueueService,
    TaskRequest,
    task,
)
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    import threading

Queue = type[TaskQueueService]


def take(queue: Queue) -> Task:
    task = queue.get_next_task(timeout=5)
    assert task is not None
    return task


def test_a_result_is_kept_as_long_as_its_task_said(queue: Queue, until: Any) -> None:
    short, long = queue.enqueue_many([TaskRequest("x", result_ttl=0.2), TaskRequest("x", result_ttl=3600)])
    for _ in range(2):
        assert queue.complete_task(take(queue), 42)
    assert queue.get_result(long) == 42
    until(lambda: queue.get_task_status(short) is None)
    with pytest.raises(TaskNotFoundError):
        queue.get_result(short)
    assert queue.get_result(long) == 42


def test_a_result_nobody_wants_kept_is_gone_at_once(queue: Queue) -> None:
    task_id = queue.enqueue_task("x", result_ttl=0)
    assert queue.complete_task(take(queue), 42)
    assert queue.get_task_status(task_id) is None
    with pytest.raises(TaskNotFoundError):
        queue.get_result(task_id)
    assert queue.get_queue_stats()["tasks_processed"] == 1


@pytest.mark.parametrize("ending", ["completed", "cancelled"])
def test_who_waits_gets_even_a_result_that_is_not_kept(queue: Queue, until: Any, in_thread: Any, ending: str) -> None:
    task_id = queue.enqueue_task("x", result_ttl=0)
    waiters = queue._open_client().protocol("default").keys.key("waiters")
    got: list[Any] = []

    def wait() -> None:
        try:
            got.append(queue.get_result(task_id, timeout=30))
        except TaskCancelledError as error:
            got.append(error)

    waiting: threading.Thread = in_thread(wait)
    until(lambda: queue._open_client().read([(b"HLEN", waiters)]) == [1])
    if ending == "completed":
        assert queue.complete_task(take(queue), 42)
    else:
        assert queue.cancel_task(task_id)
    waiting.join(30)
    assert [str(one) for one in got] == ["42" if ending == "completed" else str(TaskCancelledError(task_id))]


def test_a_failed_task_is_kept_whatever_was_said_of_its_result(queue: Queue) -> None:
    task_id = queue.enqueue_task("x", result_ttl=0)
    assert queue.fail_task(take(queue), "no", retry=False)
    failed = queue.get_task_status(task_id)
    assert failed is not None
    assert failed.error_message == "no"


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), 10**12])
def test_a_time_to_keep_that_is_none_is_refused(queue: Queue, bad: float) -> None:
    with pytest.raises(ValueError, match="result_ttl"):
        queue.enqueue_task("x", result_ttl=bad)
    with pytest.raises(TypeError, match="result_ttl"):
        queue.enqueue_task("x", result_ttl="1 day")  # type: ignore[arg-type]
    assert queue.get_queue_stats()["tasks_queued"] == 0


def test_a_task_that_is_tried_for_ever_keeps_the_first_and_the_latest_errors(queue: Queue, until: Any) -> None:
    runs: list[int] = []

    @task(name="stubborn", max_retries=30, retry_delay_seconds=0)
    def stubborn(_payload: dict[str, Any]) -> None:
        runs.append(1)
        raise RuntimeError(f"attempt {len(runs)}")

    task_id = stubborn.enqueue().id
    WorkerService.start_workers(1)
    until(lambda: len(runs) == 31)
    until(lambda: (found := queue.get_task_status(task_id)) and found.completed_at)
    failed = queue.get_task_status(task_id)
    assert failed is not None
    said = [error.message.rpartition(" ")[2] for error in failed.errors]
    assert said == ["1", "2", "3", "25", "26", "27", "28", "29", "30", "31"]
    assert failed.errors_left_out == 21
    assert failed.error_message == failed.errors[-1].message
