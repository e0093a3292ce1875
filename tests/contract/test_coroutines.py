"""Coroutines on the worker's event loop: what blocks it, what can't be stopped, and what is around them."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    CurrentTask,
    Task,
    TaskFailedError,
    TaskQueueService,
    TaskRequest,
    TaskStatus,
    current_task,
)
from singleton_service.background.worker import (
    TaskEnd,
    WorkerService,
    after_task,
    before_task,
    on_task_failure,
    task_scope,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Queue = type[TaskQueueService]
PATIENCE_S = 30.0
SHORT_S = 0.05


def many(name: str, number: int) -> list[TaskRequest]:
    return [TaskRequest(name, {"n": n}) for n in range(number)]


async def double(payload: dict[str, Any]) -> int:
    await asyncio.sleep(0)
    return 2 * int(payload["n"])


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_loop_is_uvloops_where_that_is_installed(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, *, is_installed: bool
) -> None:
    async def loop_of(payload: dict[str, Any]) -> str:
        return type(asyncio.get_running_loop()).__module__.partition(".")[0]

    if not is_installed:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    queue.register_handler("loop_of", loop_of)
    task_id = queue.enqueue_task("loop_of")
    WorkerService.run_until_empty(1)
    assert queue.get_result(task_id) == ("uvloop" if is_installed else "asyncio")


# What blocks the loop


def test_one_that_blocks_the_loop_is_reported_once_with_the_line_where_it_stands(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()

    async def block(payload: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        go_on.wait(PATIENCE_S)  # the culprit
        return "done"

    monkeypatch.setenv("TASKS_BLOCKED_LOOP_SECONDS", "0.05")
    queue.register_handler("block", block)
    queue.register_handler("double", double)
    queue.register_handler("plain", lambda payload: payload["n"])
    WorkerService.start_workers(1)
    blocking = queue.enqueue_task("block")
    try:
        until(lambda: "blocks the event loop" in caplog.text)
        held_up = queue.enqueue_many(many("double", 3))
        # Threads go on.
        plain = [queue.get_result(each, timeout=PATIENCE_S) for each in queue.enqueue_many(many("plain", 20))]
        assert plain == list(range(20))
        assert queue.get_task_status(held_up[0]).status is not TaskStatus.COMPLETED  # type: ignore[union-attr]
    finally:
        go_on.set()
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in held_up] == [0, 2, 4]
    assert queue.get_result(blocking, timeout=PATIENCE_S) == "done"
    until(lambda: "the event loop goes on" in caplog.text)
    (report,) = [each.getMessage() for each in caplog.records if "blocks the event loop" in each.getMessage()]
    line = block.__code__.co_firstlineno + 2
    assert report.startswith(f"task {blocking} (block), handler ")
    assert f"block', blocks the event loop at {__file__}, line {line}, for 0." in report
    assert f'{__file__}", line {line}, in block' in report
    assert "go_on.wait(PATIENCE_S)  # the culprit" in report
    for ours in ("execution.py", "coroutine_pool.py", "runners.py"):
        assert ours not in report


def test_what_a_blocked_loop_cant_begin_is_left_to_others(queue: Queue, until: Callable[..., Any]) -> None:
    go_on = threading.Event()

    async def block(payload: dict[str, Any]) -> str:
        go_on.wait(PATIENCE_S)
        return "done"

    queue.register_handler("block", block)
    queue.register_handler("double", double)
    WorkerService.start_workers(1)
    blocking = queue.enqueue_task("block")
    try:
        until(lambda: WorkerService.get_worker_stats()["running_tasks"]["async"] == 1)
        queue.enqueue_many(many("double", 20))
        # This process as one that is idle.
        for _ in range(20):
            task = until(lambda: queue.get_next_task(timeout=1))
            assert (task.name, task.retry_count) == ("double", 0)
            assert queue.complete_task(task, "elsewhere")
    finally:
        go_on.set()
    assert queue.get_result(blocking, timeout=PATIENCE_S) == "done"
    here = queue.enqueue_task("double", {"n": 4})
    assert queue.get_result(here, timeout=PATIENCE_S) == 8


def test_coroutines_that_wait_block_nothing(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def doze(payload: dict[str, Any]) -> None:
        await asyncio.sleep(0.3)

    monkeypatch.setenv("TASKS_BLOCKED_LOOP_SECONDS", "0.2")
    queue.register_handler("doze", doze)
    queue.enqueue_many(many("doze", 20))
    assert WorkerService.run_until_empty(1) == 0
    assert "event loop" not in caplog.text


def test_one_that_blocks_beyond_its_time_limit_fails_as_one_that_could_not_be_stopped(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    runs: list[int] = []

    async def block(payload: dict[str, Any]) -> str:
        runs.append(len(runs))
        if len(runs) == 1:
            go_on.wait(PATIENCE_S)
            return "late"
        return "second"

    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.05")
    queue.register_handler("block", block, timeout=SHORT_S, retry_delay_seconds=0)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("block")
    try:
        task = until(lambda: (task := queue.get_task_status(task_id)) and task.errors and task)
        assert "could not be stopped" in task.errors[0].message
        assert "go_on.wait" in str(task.errors[0].traceback)
    finally:
        go_on.set()
    assert queue.get_result(task_id, timeout=PATIENCE_S) == "second"
    until(lambda: "was dropped" in caplog.text)


def test_a_loop_that_gets_no_thread_loses_no_task(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    refused: list[threading.Thread] = []
    start = threading.Thread.start

    def refusing(thread: threading.Thread) -> None:
        if thread.name == "worker-asyncio" and len(refused) < 2:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refusing)
    queue.register_handler("double", double)
    WorkerService.start_workers(1)
    ids = queue.enqueue_many(many("double", 5))
    until(lambda: "coroutines can't run: can't start new thread" in caplog.text)
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in ids] == [0, 2, 4, 6, 8]
    assert len(refused) == 2


# What can't be stopped


def test_one_that_ignores_its_cancellation_is_given_up_and_its_place_taken(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []
    is_over: list[bool] = []

    async def stubborn(payload: dict[str, Any]) -> str:
        runs.append(len(runs))
        if len(runs) > 1:
            return "second"
        while not is_over:
            with suppress(asyncio.CancelledError):
                await nap()
        return "late"

    async def nap() -> None:
        await asyncio.sleep(0.01)

    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.05")
    monkeypatch.setenv("TASKS_ASYNC_CONCURRENCY", "1")
    queue.register_handler("stubborn", stubborn, timeout=SHORT_S, retry_delay_seconds=0)
    queue.register_handler("double", double)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("stubborn")
    assert queue.get_result(task_id, timeout=PATIENCE_S) == "second"
    task = queue.get_task_status(task_id)
    assert task is not None
    assert "could not be stopped" in task.errors[0].message
    assert "await asyncio.sleep(0.01)" in str(task.errors[0].traceback), "where it waits, however deep"
    ids = queue.enqueue_many(many("double", 10))
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in ids] == [2 * n for n in range(10)]
    is_over.append(True)
    until(lambda: "was dropped" in caplog.text)
    assert queue.get_task_status(task_id).result == "second"  # type: ignore[union-attr]


def test_those_that_are_timed_out_as_they_return_cost_no_place_and_no_other_task(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def on_the_edge(payload: dict[str, Any]) -> int:
        await asyncio.sleep(0.02)
        return int(payload["n"])

    monkeypatch.setenv("TASKS_ASYNC_CONCURRENCY", "5")
    queue.register_handler("edge", on_the_edge, timeout=0.02, max_retries=0)
    queue.register_handler("double", double)
    edge, other = queue.enqueue_many(many("edge", 300)), queue.enqueue_many(many("double", 300))
    assert WorkerService.run_until_empty(1) == 0
    for n, each in enumerate(edge):
        task = queue.get_task_status(each)
        assert task is not None
        assert (task.result == n) if task.status is TaskStatus.COMPLETED else "time limit" in str(task.error_message)
    assert [queue.get_result(each) for each in other] == [2 * n for n in range(300)]


def test_a_handler_may_stop_the_workers(queue: Queue, until: Callable[..., Any]) -> None:
    async def stop(payload: dict[str, Any]) -> int:
        return WorkerService.stop_workers()

    queue.register_handler("stop", stop)
    WorkerService.start_workers(1)
    assert queue.get_result(queue.enqueue_task("stop"), timeout=PATIENCE_S) == 0
    until(lambda: not WorkerService.get_worker_stats()["is_running"])
    assert WorkerService.get_worker_stats()["active_workers"] == 0


# What they share, and what they don't


def test_jobs_that_wait_for_nothing_see_nothing_of_each_other(queue: Queue) -> None:
    left = contextvars.ContextVar("left", default=-1)

    async def leave(payload: dict[str, Any]) -> int:
        seen, _ = left.get(), left.set(payload["n"])
        return seen

    queue.register_handler("leave", leave)
    ids = queue.enqueue_many(many("leave", 300))
    assert WorkerService.run_until_empty(1) == 0
    assert {queue.get_result(each) for each in ids} == {-1}


def test_a_job_that_cancels_its_asyncio_task_as_it_returns_hits_no_other(queue: Queue) -> None:
    async def careless(payload: dict[str, Any]) -> int:
        if payload["n"] % 3 == 0:
            asyncio.current_task().cancel()  # type: ignore[union-attr]
        elif payload["n"] % 3 == 1:
            await asyncio.sleep(0)
        return int(payload["n"])

    queue.register_handler("careless", careless, max_retries=0)
    ids = queue.enqueue_many(many("careless", 300))
    assert WorkerService.run_until_empty(1) == 0
    assert [queue.get_result(each) for each in ids] == list(range(300))


def test_a_job_that_waits_has_an_asyncio_task_of_its_own_from_its_first_line_on(queue: Queue) -> None:
    had: list[asyncio.Task[Any] | None] = []

    async def wait(payload: dict[str, Any]) -> None:
        had.append(asyncio.current_task())
        if payload["n"] % 4:
            await asyncio.sleep(0)
            assert asyncio.current_task() in had
        else:
            had.pop()

    queue.register_handler("wait", wait, max_retries=0)
    queue.enqueue_many(many("wait", 400))
    assert WorkerService.run_until_empty(1) == 0
    assert WorkerService.get_worker_stats()["tasks_failed"] == 0
    assert len(set(had)) == len(had) == 300


def test_jobs_that_compute_one_after_the_other_let_the_loop_go_round(queue: Queue) -> None:
    rounds: list[int] = []
    is_over: list[bool] = []

    async def go_round(payload: dict[str, Any]) -> None:
        while not is_over:
            rounds.append(1)
            await asyncio.sleep(0)

    async def compute(payload: dict[str, Any]) -> int:
        ends_at = time.monotonic() + 0.001
        while time.monotonic() < ends_at:
            pass
        return len(rounds)

    async def be_over(payload: dict[str, Any]) -> None:
        is_over.append(True)

    for handler in (go_round, compute, be_over):
        queue.register_handler(handler.__name__, handler)
    queue.enqueue_task("go_round")
    ids = queue.enqueue_many(many("compute", 60))
    queue.enqueue_task("be_over")
    assert WorkerService.run_until_empty(1) == 0
    assert len({queue.get_result(each) for each in ids}) > len(ids) / 4


# What is around them


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_its_on_error_decides_and_may_wait(queue: Queue, kind: str) -> None:
    asked: list[tuple[str, str]] = []

    def on_error(task: Task, error: BaseException) -> float:
        asked.append((task.id, str(error)))
        time.sleep(0.01)
        return 0

    async def on_error_async(task: Task, error: BaseException) -> float:
        await asyncio.sleep(0.01)
        return on_error(task, error)

    async def fail_once(payload: dict[str, Any]) -> int:
        task = current_task()
        assert task is not None
        if task.attempt == 1:
            raise ConnectionError("not now")
        return task.attempt

    queue.register_handler("once", fail_once, on_error=on_error if kind == "plain" else on_error_async)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("once")
    assert queue.get_result(task_id, timeout=PATIENCE_S) == 2
    assert asked == [(task_id, "not now")]


def test_hooks_and_scopes_are_around_it_in_its_context(queue: Queue) -> None:
    said: list[str] = []
    bound = contextvars.ContextVar("bound", default="-")

    @before_task
    def bind(task: CurrentTask) -> None:
        bound.set(task.name)

    @before_task
    async def begins(task: CurrentTask) -> None:
        await asyncio.sleep(0)
        said.append(f"begins {task.name}")

    @task_scope
    @contextmanager
    def scope() -> Iterator[None]:
        said.append(f"enters {threading.current_thread().name}")
        try:
            yield
        except ValueError as error:
            said.append(f"saw {error}")
            raise
        finally:
            said.append("leaves")

    @on_task_failure
    async def failed(end: TaskEnd) -> None:
        said.append(f"failed: {end.error}")

    @after_task
    def ended(end: TaskEnd) -> None:
        said.append(f"ended {end.status} {end.result}")

    async def job(payload: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        if payload:
            raise ValueError("bad")
        return bound.get()

    queue.register_handler("job", job, max_retries=0)
    WorkerService.start_workers(1)
    assert queue.get_result(queue.enqueue_task("job"), timeout=PATIENCE_S) == "job"
    with pytest.raises(TaskFailedError, match="bad"):
        queue.get_result(queue.enqueue_task("job", {"n": 1}), timeout=PATIENCE_S)
    WorkerService.stop_workers()
    assert said == [
        *("begins job", "enters worker-asyncio", "leaves", "ended completed job"),
        *("begins job", "enters worker-asyncio", "saw bad", "leaves", "failed: bad", "ended failed None"),
    ]
