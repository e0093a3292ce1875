"""What holds wherever a handler runs, on every engine."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    PermanentError,
    TaskFailedError,
    TaskLogFilter,
    TaskQueueService,
    TaskStatus,
    current_task,
)
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

    Register = Callable[..., None]

Queue = type[TaskQueueService]
PATIENCE_S = 30.0
SHORT_S = 0.05
# Each with what `execution` has to say for it. Coroutines run on uvloop's loop, and where that is missing on asyncio's.
KINDS: dict[str, Any] = {"thread": None, "uvloop": None, "asyncio": None, "process": "process"}

left_by = contextvars.ContextVar("left_by", default="nobody")


# Handlers as plain functions, on the level of the module; `as_kind` makes coroutines of them.


def give(payload: dict[str, Any]) -> dict[str, Any]:
    return {"got": payload["n"]}


def fail(payload: dict[str, Any]) -> None:
    raise PermanentError(f"no such address: {payload['to']}")


def fail_once(payload: dict[str, Any]) -> int:
    task = current_task()
    assert task is not None
    if task.attempt == 1:
        raise ConnectionError("try again")
    return task.attempt


def look_around(payload: dict[str, Any]) -> list[Any]:
    task = current_task()
    assert task is not None
    record = logging.LogRecord("x", logging.INFO, "x", 1, "x", None, None)
    TaskLogFilter().filter(record)
    found, _ = left_by.get(), left_by.set(task.id)
    return [task.id, task.name, task.attempt, task.deadline is not None, record.task_id, found]  # type: ignore[attr-defined]


def goes_on(payload: dict[str, Any], ends_at: float) -> bool:
    return time.monotonic() < ends_at and not Path(payload.get("until", "never")).exists()


def begin_and_wait(payload: dict[str, Any]) -> str:
    task = current_task()
    assert task is not None
    task.progress(40, "sorting")
    ends_at = time.monotonic() + payload.get("seconds", PATIENCE_S)
    while goes_on(payload, ends_at):
        pass
    return "waited"


async def begin_and_wait_async(payload: dict[str, Any]) -> str:
    task = current_task()
    assert task is not None
    task.progress(40, "sorting")
    ends_at = time.monotonic() + payload.get("seconds", PATIENCE_S)
    while goes_on(payload, ends_at):  # noqa: ASYNC110 - whoever ends it may be in another process
        await asyncio.sleep(0.005)
    return "waited"


def as_kind(function: Callable[..., Any], kind: str) -> Callable[..., Any]:
    if kind not in {"uvloop", "asyncio"}:
        return function
    if function is begin_and_wait:
        return begin_and_wait_async

    @functools.wraps(function)
    async def coroutine(payload: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        return function(payload)

    return coroutine


@pytest.fixture(params=KINDS)
def register(request: pytest.FixtureRequest, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Have tasks of this name done by the function, in the kind of place that the test runs with."""
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)

    def register(name: str, function: Callable[..., Any], **policy: Any) -> None:
        kind = request.param
        queue.register_handler(name, as_kind(function, kind), execution=KINDS[kind], **policy)

    return register


def test_what_it_returns_is_the_result(queue: Queue, register: Register, until: Callable[..., Any]) -> None:
    register("give", give)
    ids = [queue.enqueue_task("give", {"n": n}) for n in range(30)]
    WorkerService.start_workers(2)
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in ids] == [{"got": n} for n in range(30)]
    # The worker hears after everybody else that they are done.
    until(lambda: WorkerService.get_worker_stats()["tasks_processed"] == 30)


def test_what_it_raises_is_the_error_with_the_way_there(queue: Queue, register: Register) -> None:
    register("fail", fail, max_retries=5)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("fail", {"to": "x"})
    with pytest.raises(TaskFailedError, match="no such address: x"):
        queue.get_result(task_id, timeout=PATIENCE_S)
    task = queue.get_task_status(task_id)
    assert task is not None
    (error,) = task.errors
    assert error.type == "PermanentError"
    assert error.traceback is not None
    first, *_, last = error.traceback.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last.endswith("PermanentError: no such address: x")
    assert 'raise PermanentError(f"no such' in error.traceback
    for ours in ("execution.py", "coroutine_pool.py", "pool.py"):
        assert ours not in error.traceback


def test_an_attempt_that_failed_is_followed_by_another(queue: Queue, register: Register) -> None:
    register("fail_once", fail_once, retry_delay_seconds=0, max_retries=1)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("fail_once")
    assert queue.get_result(task_id, timeout=PATIENCE_S) == 2
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.retry_count, [error.type for error in task.errors]) == (1, ["ConnectionError"])


def test_one_that_takes_too_long_is_stopped(queue: Queue, register: Register) -> None:
    register("long", begin_and_wait, timeout=SHORT_S, max_retries=0)
    register("give", give)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long")
    with pytest.raises(TaskFailedError, match=r"ran longer than its time limit of 0\.05 s"):
        queue.get_result(task_id, timeout=PATIENCE_S)
    task = queue.get_task_status(task_id)
    assert task is not None
    assert task.errors[0].type == "TaskTimeoutError"
    assert "begin_and_wait" in str(task.errors[0].traceback)
    assert queue.get_result(queue.enqueue_task("give", {"n": 1}), timeout=PATIENCE_S) == {"got": 1}


def test_one_that_is_cancelled_is_stopped(queue: Queue, register: Register, until: Callable[..., Any]) -> None:
    register("long", begin_and_wait, max_retries=5)
    register("give", give)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long")
    until(lambda: queue.get_progress(task_id))
    assert queue.cancel_task(task_id)
    until(lambda: queue.get_task_status(task_id).status is TaskStatus.CANCELLED)  # type: ignore[union-attr]
    assert queue.get_result(queue.enqueue_task("give", {"n": 1}), timeout=PATIENCE_S) == {"got": 1}
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 0)


def test_it_says_how_far_it_has_come(queue: Queue, register: Register, until: Callable[..., Any]) -> None:
    register("long", begin_and_wait)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long")
    progress = until(lambda: queue.get_progress(task_id))
    assert (progress.percent, progress.message) == (40, "sorting")
    assert queue.cancel_task(task_id)


def test_it_knows_its_task_and_leaves_nothing_for_the_next(queue: Queue, register: Register) -> None:
    register("look", look_around, timeout=PATIENCE_S)
    WorkerService.start_workers(1)
    for _ in range(2):
        task_id = queue.enqueue_task("look")
        assert queue.get_result(task_id, timeout=PATIENCE_S) == [task_id, "look", 1, True, task_id, "nobody"]


def test_what_a_stop_cuts_off_is_handed_back_uncounted(
    queue: Queue, register: Register, until: Callable[..., Any]
) -> None:
    register("long", begin_and_wait)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long", {"seconds": PATIENCE_S})
    until(lambda: queue.get_progress(task_id))
    assert WorkerService.stop_workers(timeout=0) == 1
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.status, task.retry_count, task.errors) == (TaskStatus.PENDING, 0, ())
    assert queue.cancel_task(task_id)


def test_a_stop_lets_it_end(
    queue: Queue, register: Register, until: Callable[..., Any], in_thread: Callable[..., Any], tmp_path: Path
) -> None:
    may_end = tmp_path / "may-end"
    register("long", begin_and_wait)
    WorkerService.start_workers(1)
    crew = WorkerService._crew
    assert crew is not None
    task_id = queue.enqueue_task("long", {"until": str(may_end)})
    until(lambda: queue.get_progress(task_id))
    cut_off: list[int] = []
    stopping = in_thread(lambda: cut_off.append(WorkerService.stop_workers(timeout=PATIENCE_S)))
    until(lambda: crew.is_stopping)
    may_end.touch()
    stopping.join()
    assert cut_off == [0]
    assert queue.get_result(task_id) == "waited"


def test_the_workers_are_done_when_it_is(queue: Queue, register: Register) -> None:
    register("long", begin_and_wait)
    ids = [queue.enqueue_task("long", {"seconds": SHORT_S}) for _ in range(3)]
    assert WorkerService.run_until_empty(2) == 0
    assert [queue.get_result(each) for each in ids] == ["waited"] * 3
