"""Retry policies, with a worker, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    PermanentError,
    Retry,
    Task,
    TaskFailedError,
    TaskQueueService,
    TaskResult,
    TaskStatus,
    task,
)
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]


def ended(queue: Queue, task_id: str) -> Task:
    with pytest.raises(TaskFailedError):
        queue.get_result(task_id, timeout=10)
    found = queue.get_task_status(task_id)
    assert found is not None
    return found


def test_a_permanent_error_is_not_tried_again(queue: Queue) -> None:
    @task(retry_delay_seconds=0)
    def send(payload: dict[str, Any]) -> None:
        raise PermanentError("no such address")

    WorkerService.start_workers(1)
    found = ended(queue, send.enqueue().id)
    assert (found.status, found.retry_count, len(found.errors)) == (TaskStatus.FAILED, 0, 1)


def test_a_failure_by_value_is_not_tried_again_either(queue: Queue) -> None:
    queue.register_handler("send", lambda payload: TaskResult(success=False, error="no params", retryable=False))
    WorkerService.start_workers(1)
    found = ended(queue, queue.enqueue_task("send"))
    assert (found.error_message, found.retry_count) == ("Task execution failed: no params", 0)


def test_a_handler_that_asks_for_it_is_tried_again_soon_as_often_as_it_may(queue: Queue) -> None:
    @task(max_retries=2)
    def poll(payload: dict[str, Any]) -> None:
        raise Retry(delay_seconds=0.01)

    WorkerService.start_workers(1)
    found = ended(queue, poll.enqueue().id)
    assert (found.retry_count, len(found.errors)) == (2, 3)


def test_a_policy_decides_where_the_task_is_next_seen(queue: Queue, until: Callable[..., Any]) -> None:
    @task(retry_delay_seconds=1000, retry_backoff=True, retry_backoff_max=1500)
    def fetch(payload: dict[str, Any]) -> None:
        raise ConnectionError

    WorkerService.start_workers(1)
    handle = fetch.enqueue()
    until(lambda: handle.status is TaskStatus.RETRYING)
    waiting = queue.get_task_status(handle.id)
    assert waiting is not None
    assert waiting.eta is not None
    assert waiting.errors[-1].when is not None
    assert 990 < (waiting.eta - waiting.errors[-1].when).total_seconds() < 1010


def test_a_loop_of_ones_own_follows_the_policy_as_well(queue: Queue) -> None:
    queue.register_handler("fetch", print, retry_delay_seconds=500)
    queue.enqueue_task("fetch")
    taken = queue.get_next_task(timeout=5)
    assert taken is not None
    assert queue.fail_task(taken, "no line")
    waiting = queue.get_task_status(taken.id)
    assert waiting is not None
    assert waiting.eta is not None
    assert 490 < (waiting.eta - waiting.created_at).total_seconds() < 510


def test_a_policy_says_until_when_tasks_are_wanted_and_that_there_is_one_at_a_time(
    queue: Queue, until: Callable[..., Any]
) -> None:
    @task(expires_in=0.05, unique_key="the-sync")
    def sync(payload: dict[str, Any]) -> None: ...

    first = sync.enqueue()
    assert queue.enqueue_task("sync", expires_in=1000) == first.id
    other = queue.enqueue_task("sync", unique_key="another", expires_in=1000)
    until(lambda: first.status is TaskStatus.EXPIRED)
    assert sync.enqueue().id != first.id
    found = queue.get_task_status(other)
    assert found is not None
    assert (found.status, found.unique_key) == (TaskStatus.PENDING, "another")
