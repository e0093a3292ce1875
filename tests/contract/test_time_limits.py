"""A handler that runs longer than its limit is stopped, or given up; the task goes on by its policy."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    Task,
    TaskCancelledError,
    TaskFailedError,
    TaskInterrupted,
    TaskQueueService,
    TaskStatus,
    TaskTimeoutError,
    current_task,
)
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]
PATIENCE_S = 30.0
SHORT_S = 0.05


def spin(_payload: dict[str, Any]) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at:
        pass


async def doze(_payload: dict[str, Any]) -> None:
    await asyncio.sleep(PATIENCE_S)


@pytest.mark.parametrize("handler", [spin, doze])
def test_a_handler_that_runs_too_long_is_stopped_and_the_attempt_has_failed(
    queue: Queue, handler: Callable[..., Any]
) -> None:
    queue.register_handler("long", handler, timeout=SHORT_S, max_retries=0)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long")
    with pytest.raises(TaskFailedError, match=r"ran longer than its time limit of 0\.05 s"):
        queue.get_result(task_id, timeout=PATIENCE_S)
    task = queue.get_task_status(task_id)
    assert task is not None
    assert task.timeout == SHORT_S
    (error,) = task.errors
    assert error.type == "TaskTimeoutError"
    assert error.traceback is not None
    assert handler.__name__ in error.traceback
    queue.register_handler("add", lambda payload: payload["a"] + 1)
    assert queue.get_result(queue.enqueue_task("add", {"a": 1}), timeout=PATIENCE_S) == 2


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_what_a_handler_does_on_its_way_out_is_waited_for(queue: Queue, kind: str) -> None:
    seen: list[str] = []

    def plain(_payload: dict[str, Any]) -> None:
        try:
            spin({})
        except TaskInterrupted:
            seen.append("interrupted")
            raise

    async def coroutine(_payload: dict[str, Any]) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("interrupted")
            raise

    queue.register_handler("long", coroutine if kind == "async" else plain, timeout=SHORT_S, max_retries=0)
    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError):
        queue.get_result(queue.enqueue_task("long"), timeout=PATIENCE_S)
    assert seen == ["interrupted"]


def test_a_timed_out_attempt_is_retried_by_the_policy(queue: Queue) -> None:
    attempts: list[str] = []
    asked: list[BaseException] = []

    def handler(_payload: dict[str, Any]) -> str:
        attempts.append("attempt")
        if len(attempts) == 1:
            spin({})
        return "second"

    def on_error(_task: Task, error: BaseException) -> float:
        asked.append(error)
        return 0

    queue.register_handler("long", handler, timeout=SHORT_S, on_error=on_error, retry_on=TimeoutError)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long")
    assert queue.get_result(task_id, timeout=PATIENCE_S) == "second"
    (error,) = asked
    assert isinstance(error, TaskTimeoutError)
    assert error.limit_s == SHORT_S


def test_the_limit_given_with_a_task_wins_over_its_handlers(queue: Queue) -> None:
    queue.register_handler("long", spin, timeout=PATIENCE_S, max_retries=0)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long", timeout=SHORT_S)
    with pytest.raises(TaskFailedError, match=r"0\.05 s"):
        queue.get_result(task_id, timeout=PATIENCE_S)


def test_a_handler_that_cannot_be_stopped_is_given_up_and_its_thread_replaced(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.05")
    is_over = threading.Event()
    runs: list[int] = []

    def stubborn(_payload: dict[str, Any]) -> str:
        runs.append(len(runs))
        if len(runs) > 1:
            return "second"
        while not is_over.is_set():
            with suppress(TaskInterrupted):
                is_over.wait(PATIENCE_S)  # in C: what is thrown waits for its end
        return "late"

    queue.register_handler("stubborn", stubborn, timeout=SHORT_S, retry_delay_seconds=0)
    WorkerService.start_workers(1)
    try:
        task_id = queue.enqueue_task("stubborn")
        assert queue.get_result(task_id, timeout=PATIENCE_S) == "second"
        task = queue.get_task_status(task_id)
        assert task is not None
        assert "could not be stopped" in task.errors[0].message
        assert "is_over.wait" in str(task.errors[0].traceback)
        assert WorkerService.get_worker_stats()["active_workers"] == 1
    finally:
        is_over.set()
    until(lambda: "was dropped" in caplog.text)
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.status, task.result) == (TaskStatus.COMPLETED, "second")
    assert WorkerService.stop_workers() == 0


def test_a_coroutine_that_blocks_the_loop_is_given_up_too(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.05")
    is_over = threading.Event()

    async def blocking(_payload: dict[str, Any]) -> None:
        is_over.wait(PATIENCE_S)

    queue.register_handler("blocking", blocking, timeout=SHORT_S, max_retries=0)
    queue.register_handler("add", lambda payload: payload["a"] + 1)
    WorkerService.start_workers(1)
    try:
        task_id = queue.enqueue_task("blocking")
        with pytest.raises(TaskFailedError, match="could not be stopped"):
            queue.get_result(task_id, timeout=PATIENCE_S)
        assert queue.get_result(queue.enqueue_task("add", {"a": 1}), timeout=PATIENCE_S) == 2
    finally:
        is_over.set()
    until(lambda: "was dropped" in caplog.text)


@pytest.mark.parametrize("handler", [spin, doze])
def test_a_running_task_that_is_cancelled_is_interrupted_and_ends_as_cancelled(
    queue: Queue, handler: Callable[..., Any], until: Callable[..., Any]
) -> None:
    queue.register_handler("long", handler)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long")
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 1)
    assert queue.cancel_task(task_id)
    with pytest.raises(TaskCancelledError):
        queue.get_result(task_id, timeout=PATIENCE_S)
    queue.register_handler("add", lambda payload: payload["a"] + 1)
    assert queue.get_result(queue.enqueue_task("add", {"a": 1}), timeout=PATIENCE_S) == 2


def test_a_handler_can_ask_whether_it_was_told_to_end_and_when_it_will_be(queue: Queue) -> None:
    seen: list[Any] = []

    def handler(_payload: dict[str, Any]) -> None:
        task = current_task()
        assert task is not None
        seen.extend([task.is_cancelled, task.deadline])
        try:
            spin({})
        finally:
            seen.append(task.is_cancelled)

    queue.register_handler("long", handler, max_retries=0)
    WorkerService.start_workers(1)
    before = datetime.now(UTC)
    with pytest.raises(TaskFailedError):
        queue.get_result(queue.enqueue_task("long", timeout=SHORT_S), timeout=PATIENCE_S)
    was_cancelled, deadline, is_cancelled = seen
    assert (was_cancelled, is_cancelled) == (False, True)
    assert before < deadline < datetime.now(UTC)


@pytest.mark.parametrize(
    ("timeout", "kind", "words"),
    [(0, ValueError, "at least 1 ms"), (-1, ValueError, "out of range"), ("5", TypeError, "must be a number")],
)
def test_a_limit_that_is_none_is_refused_before_anything_is_written(
    queue: Queue, timeout: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        queue.enqueue_task("long", timeout=timeout)
    with pytest.raises(kind, match=words):
        queue.register_handler("long", spin, timeout=timeout)
    assert queue.get_queue_stats()["tasks_queued"] == 0


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_what_cannot_be_stopped_keeps_its_unique_key_until_it_ends(
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
    until: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.05")
    monkeypatch.setenv("TASKS_ASYNC_CONCURRENCY", "1")
    is_over = threading.Event()

    def stubborn(_payload: dict[str, Any]) -> str:
        while not is_over.is_set():
            with suppress(TaskInterrupted):
                is_over.wait(PATIENCE_S)
        return "late"

    async def stubborn_coroutine(_payload: dict[str, Any]) -> str:
        while not is_over.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        return "late"

    async def add(payload: dict[str, Any]) -> int:
        return int(payload["a"]) + 1

    queue.register_handler("stubborn", stubborn if kind == "plain" else stubborn_coroutine, timeout=SHORT_S)
    queue.register_handler("add", (lambda payload: payload["a"] + 1) if kind == "plain" else add)
    WorkerService.start_workers(1)
    try:
        task_id = queue.enqueue_task("stubborn", unique_key="k", max_retries=0)
        until(lambda: "can't be stopped" in caplog.text)
        # Its place is another's meanwhile.
        assert queue.get_result(queue.enqueue_task("add", {"a": 1}), timeout=PATIENCE_S) == 2
        assert queue.enqueue_task("stubborn", unique_key="k") == task_id
        assert queue.get_task_status(task_id).status is TaskStatus.RUNNING  # type: ignore[union-attr]
    finally:
        is_over.set()
    with pytest.raises(TaskFailedError, match="could not be stopped"):
        queue.get_result(task_id, timeout=PATIENCE_S)
    assert queue.get_result(queue.enqueue_task("add", {"a": 1}), timeout=PATIENCE_S) == 2
    assert queue.enqueue_task("stubborn", unique_key="k", delay_seconds=60) != task_id
    assert WorkerService.stop_workers() == 0
