"""Handlers that do many tasks at once: what they are given, and what becomes of each task, on every engine."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from singleton_service.background.task_queue import (
    CurrentTask,
    PermanentError,
    Retry,
    TaskFailedError,
    TaskHandler,
    TaskQueueService,
    TaskRequest,
    TaskResult,
    TaskStatus,
    current_batch,
    current_task,
    task,
)
from singleton_service.background.worker import WorkerService, after_task, before_task, task_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singleton_service.background.worker import TaskEnd

Queue = type[TaskQueueService]
Payloads = list[dict[str, Any]]
PATIENCE_S = 30.0
# Longer than any test: such a batch goes when it is full.
LONG_S = 60


class Document(BaseModel):
    id: int
    text: str = ""


@dataclass
class Point:
    x: int
    y: int = 0


class Calls:
    """A handler that notes what it is given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.names: list[str] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self._lock = threading.Lock()

    def double(self, payloads: Payloads) -> list[Any]:
        while not self.is_open.wait(0.01):  # so that it can be interrupted
            pass
        with self._lock:
            self.sizes.append(len(payloads))
            self.names += [each.get("name", "") for each in payloads]
        return [2 * each["n"] for each in payloads]


@pytest.fixture
def calls() -> Iterator[Calls]:
    calls = Calls()
    yield calls
    calls.is_open.set()


@pytest.fixture(params=["thread", "async"])
def register(request: pytest.FixtureRequest, queue: Queue) -> Callable[..., None]:
    """Have tasks of this name done by the function, in a thread or on the loop."""

    def register(name: str, function: Callable[[Payloads], Any], **policy: Any) -> None:
        if request.param == "thread":
            queue.register_handler(name, function, **policy)
            return

        async def coroutine(payloads: Payloads) -> Any:
            await asyncio.sleep(0)
            result = function(payloads)
            return await result if inspect.isawaitable(result) else result

        queue.register_handler(name, coroutine, **policy)

    return register


def many(name: str, number: int, **options: Any) -> list[TaskRequest]:
    return [TaskRequest(name, {"n": n}, **options) for n in range(number)]


def status_of(queue: Queue, task_id: str) -> TaskStatus | None:
    found = queue.get_task_status(task_id)
    return None if found is None else found.status


def error_of(queue: Queue, task_id: str) -> str:
    with pytest.raises(TaskFailedError) as caught:
        queue.get_result(task_id, timeout=PATIENCE_S)
    return caught.value.error_message


# Which tasks come together


def test_what_waits_comes_in_full_batches_and_each_task_has_its_own_result(
    queue: Queue, register: Callable[..., None], calls: Calls, until: Callable[..., Any]
) -> None:
    register("double", calls.double, batch=50, wait=LONG_S)
    ids = queue.enqueue_many(many("double", 2000))
    WorkerService.start_workers(2)
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in ids] == [2 * n for n in range(2000)]
    assert calls.sizes == [50] * 40
    # The worker hears after everybody else that they are done.
    until(lambda: WorkerService.get_worker_stats()["tasks_processed"] == 2000)


def test_fewer_go_when_the_first_has_waited_and_no_thread_waits_with_them(queue: Queue, calls: Calls) -> None:
    queue.register_handler("double", calls.double, batch=50, wait=1)
    queue.register_handler("plain", lambda payload: calls.sizes.copy())
    began = time.monotonic()
    ids = queue.enqueue_many(many("double", 7))
    WorkerService.start_workers(1)
    assert queue.get_result(queue.enqueue_task("plain", {}), timeout=PATIENCE_S) == []
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in ids] == [2 * n for n in range(7)]
    assert time.monotonic() - began >= 1
    assert calls.sizes == [7]


def test_without_a_wait_it_takes_what_is_there(queue: Queue, calls: Calls) -> None:
    queue.register_handler("double", calls.double, batch=50, wait=0)
    ids = queue.enqueue_many(many("double", 7))
    WorkerService.start_workers(1)
    assert queue.get_result(ids[-1], timeout=PATIENCE_S) == 12
    assert calls.sizes == [7]


def test_those_of_a_more_urgent_queue_go_first(queue: Queue, calls: Calls, until: Callable[..., Any]) -> None:
    calls.is_open.clear()
    queue.register_handler("double", calls.double, batch=10, wait=0.1)
    WorkerService.start_workers(1, queues=["critical", "low"])
    queue.enqueue_many([TaskRequest("double", {"n": 0, "name": "first"}, queue="low") for _ in range(10)])
    until(lambda: WorkerService.get_worker_stats()["running_tasks"]["thread"] == 1)
    low = queue.enqueue_many([TaskRequest("double", {"n": 0, "name": "low"}, queue="low") for _ in range(60)])
    queue.enqueue_many([TaskRequest("double", {"n": 0, "name": "critical"}, queue="critical") for _ in range(20)])
    calls.is_open.set()
    until(lambda: all(status_of(queue, each) is TaskStatus.COMPLETED for each in low), PATIENCE_S)
    # What was taken in hand before they came is at most one batch.
    assert set(calls.names[20:40]) <= {"critical", "low"}
    assert calls.names.index("critical") <= 20
    last_critical = len(calls.names) - 1 - calls.names[::-1].index("critical")
    assert last_critical < 50


# What each comes to


def test_a_payload_that_the_handler_does_not_take_is_refused_alone(queue: Queue) -> None:
    def index(documents: list[Document]) -> list[int]:
        return [each.id for each in documents]

    ids = queue.enqueue_many([TaskRequest("index", {"id": n}) for n in (1, "two", 3)])
    queue.register_handler("index", index, batch=3, wait=LONG_S)
    WorkerService.start_workers(1)
    assert [queue.get_result(ids[n], timeout=PATIENCE_S) for n in (0, 2)] == [1, 3]
    assert "id: Input should be a valid integer" in error_of(queue, ids[1])
    failed = queue.get_task_status(ids[1])
    assert failed is not None
    assert failed.retry_count == 0


def test_elements_that_failed_go_by_the_policy_and_the_others_complete(
    queue: Queue, register: Callable[..., None]
) -> None:
    seen: list[list[str]] = []

    def some(payloads: Payloads) -> list[Any]:
        seen.append([each["how"] for each in payloads])
        is_first = len(seen) == 1
        outcomes = {
            "well": "done",
            "raised": ConnectionError("no line") if is_first else "at last",
            "again": Retry(delay_seconds=0) if is_first else "once more",
            "never": PermanentError("no such thing"),
            "said": TaskResult(success=False, error="it said no", retryable=False),
            "dict": {"error": "an old word for it", "retry": False},
        }
        return [outcomes[each["how"]] for each in payloads]

    register("some", some, batch=6, wait=1, max_retries=1, retry_delay_seconds=0)
    hows = ("well", "raised", "again", "never", "said", "dict")
    ids = dict(zip(hows, queue.enqueue_many([TaskRequest("some", {"how": how}) for how in hows]), strict=True))
    WorkerService.start_workers(1)
    assert queue.get_result(ids["well"], timeout=PATIENCE_S) == "done"
    assert queue.get_result(ids["raised"], timeout=PATIENCE_S) == "at last"
    assert queue.get_result(ids["again"], timeout=PATIENCE_S) == "once more"
    assert "no such thing" in error_of(queue, ids["never"])
    assert "it said no" in error_of(queue, ids["said"])
    assert "an old word" in error_of(queue, ids["dict"])
    assert [sorted(each) for each in seen] == [sorted(hows), ["again", "raised"]]


def test_when_the_handler_raises_every_task_fails_by_its_own_policy(
    queue: Queue, register: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    def fail_first(payloads: Payloads) -> None:
        if all(each.attempt == 1 for each in current_batch()):
            raise ConnectionError("the index is away")

    register("fail", fail_first, batch=2, wait=1, retry_delay_seconds=0)
    ids = queue.enqueue_many([TaskRequest("fail", {}, max_retries=1), TaskRequest("fail", {}, max_retries=0)])
    WorkerService.start_workers(1)
    assert queue.get_result(ids[0], timeout=PATIENCE_S) is None
    assert "the index is away" in error_of(queue, ids[1])
    for task_id in ids:
        found = queue.get_task_status(task_id)
        assert found is not None
        (error,) = found.errors
        assert error.traceback is not None
        assert "raise ConnectionError" in error.traceback
        assert "batch_execution.py" not in error.traceback
    assert caplog.text.count("raise ConnectionError") == 1, "one traceback in the log, for it is one error"
    assert caplog.text.count(f"as task {ids[0]}") == 1


@pytest.mark.parametrize(
    ("result", "told"),
    [([1, 2], "a list of 2 for a batch of 3"), ({"a": 1}, "an object of type dict for a batch of 3")],
)
def test_a_result_that_does_not_fit_fails_all_and_they_do_not_run_again(queue: Queue, result: Any, told: str) -> None:
    queue.register_handler("wrong", lambda payloads: result, batch=3, wait=LONG_S)
    ids = queue.enqueue_many(many("wrong", 3))
    WorkerService.start_workers(1)
    for task_id in ids:
        assert told in error_of(queue, task_id)


# What the handler knows


def test_a_handler_knows_its_tasks_and_reports_their_progress(queue: Queue, register: Callable[..., None]) -> None:
    def look(payloads: Payloads) -> list[Any]:
        assert current_task() is None
        assert [each.task.payload for each in current_batch()] == payloads
        for each in current_batch():
            each.progress(10 * each.task.payload["n"])
        return [[each.id, each.attempt, each.is_cancelled, each.deadline is not None] for each in current_batch()]

    register("look", look, batch=3, wait=LONG_S, timeout=30)
    ids = queue.enqueue_many(many("look", 3))
    WorkerService.start_workers(1)
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in ids] == [[each, 1, False, True] for each in ids]
    assert current_batch() == ()


def test_a_scope_is_around_the_call_and_hooks_are_told_of_each_task(queue: Queue, until: Callable[..., Any]) -> None:
    seen: list[str] = []

    @task_scope
    @contextmanager
    def scope() -> Iterator[None]:
        seen.append(f"opened for {len(current_batch())}")
        yield
        seen.append("closed")

    @before_task
    def before(task: CurrentTask) -> None:
        running = current_task()
        assert running is not None
        assert running.id == task.id
        seen.append(f"before {task.task.payload['n']}")

    @after_task
    def after(end: TaskEnd) -> None:
        seen.append(f"after {end.task.task.payload['n']}: {end.status.value} {end.result}")

    queue.register_handler("f", lambda payloads: ["a", PermanentError("b")], batch=2, wait=LONG_S)
    queue.enqueue_many(many("f", 2))
    WorkerService.start_workers(1)
    until(lambda: len(seen) == 6)
    assert seen == ["before 0", "before 1", "opened for 2", "closed", "after 0: completed a", "after 1: failed None"]


# How they are defined and enqueued


def test_one_payload_is_checked_where_it_is_passed(queue: Queue) -> None:
    @task(batch=2, wait=LONG_S)
    def index(documents: list[Document]) -> list[str]:
        return [each.text for each in documents]

    @task(batch=2, wait=LONG_S)
    async def plot(points: list[Point]) -> list[int]:
        return [each.x + each.y for each in points]

    class Sum(TaskHandler):
        batch = 2
        wait = LONG_S

        @classmethod
        def perform(cls, numbers: list[dict[str, int]]) -> list[int]:
            return [sum(each.values()) for each in numbers]

    with pytest.raises(ValueError, match="id: Input should be a valid integer"):
        index.enqueue(id="x")
    with pytest.raises(TypeError, match="takes one payload"):
        index.enqueue(Document(id=1), Document(id=2))  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="Input should be a valid"):
        Sum.perform_async(a="x")
    WorkerService.start_workers(1)
    texts = [index.enqueue(Document(id=1, text="a")), index.enqueue(id=2, text="b")]
    sums = [plot.enqueue(Point(1)), plot.enqueue(x=2, y=3), Sum.perform_async(a=1, b=2), Sum.perform_in(0, a=5)]
    assert [each.get(PATIENCE_S) for each in texts] == ["a", "b"]
    assert [each.get(PATIENCE_S) for each in sums] == [1, 5, 3, 5]
    assert index([Document(id=1, text="here")]) == ["here"]


# Time limits, cancels, stops


def test_the_smallest_time_limit_is_that_of_the_batch(queue: Queue) -> None:
    def spin(payloads: Payloads) -> None:
        ends_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends_at:
            pass

    async def sleep(payloads: Payloads) -> None:
        await asyncio.sleep(PATIENCE_S)

    queue.register_handler("spin", spin, batch=2, wait=LONG_S, timeout=20, max_retries=0)
    queue.register_handler("sleep", sleep, batch=2, wait=LONG_S, timeout=20, max_retries=0)
    ids = [queue.enqueue_task(name, {}, timeout=limit) for name in ("spin", "sleep") for limit in (None, 0.1)]
    WorkerService.start_workers(1)
    for task_id in ids:
        assert "longer than its time limit of 0.1 s" in error_of(queue, task_id)


def test_a_task_cancelled_while_others_are_awaited_is_taken_out(
    queue: Queue, calls: Calls, until: Callable[..., Any]
) -> None:
    queue.register_handler("double", calls.double, batch=3, wait=LONG_S)
    WorkerService.start_workers(1)
    ids = queue.enqueue_many(many("double", 2))
    until(lambda: status_of(queue, ids[0]) is TaskStatus.RUNNING and status_of(queue, ids[1]) is TaskStatus.RUNNING)
    assert queue.cancel_task(ids[0])
    until(lambda: status_of(queue, ids[0]) is TaskStatus.CANCELLED)
    ids += queue.enqueue_many(many("double", 2))
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in ids[1:]] == [2, 0, 2]
    assert calls.sizes == [3]


def test_a_task_cancelled_while_its_batch_runs_does_not_interrupt_the_others(
    queue: Queue, until: Callable[..., Any]
) -> None:
    told: list[list[bool]] = []

    def work(payloads: Payloads) -> list[int]:
        until(lambda: current_batch()[0].is_cancelled)
        told.append([each.is_cancelled for each in current_batch()])
        return [1, 2]

    queue.register_handler("work", work, batch=2, wait=LONG_S)
    WorkerService.start_workers(1)
    ids = queue.enqueue_many(many("work", 2))
    until(lambda: WorkerService.get_worker_stats()["running_tasks"]["thread"] == 1)
    assert queue.cancel_task(ids[0])
    assert queue.get_result(ids[1], timeout=PATIENCE_S) == 2
    until(lambda: status_of(queue, ids[0]) is TaskStatus.CANCELLED)
    assert told == [[True, False]]


def test_a_batch_that_nobody_wants_any_more_is_interrupted(queue: Queue, until: Callable[..., Any]) -> None:
    queue.register_handler("long", lambda payloads: until(lambda: False, PATIENCE_S), batch=2, wait=LONG_S)
    WorkerService.start_workers(1)
    ids = queue.enqueue_many(many("long", 2))
    until(lambda: WorkerService.get_worker_stats()["running_tasks"]["thread"] == 1)
    assert all(queue.cancel_task(each) for each in ids)
    until(lambda: all(status_of(queue, each) is TaskStatus.CANCELLED for each in ids))


def test_a_stop_hands_back_those_that_wait_and_those_cut_off_uncounted(
    queue: Queue, calls: Calls, until: Callable[..., Any]
) -> None:
    calls.is_open.clear()
    queue.register_handler("double", calls.double, batch=10, wait=LONG_S)
    WorkerService.start_workers(2)
    ids = queue.enqueue_many(many("double", 14))
    until(lambda: WorkerService.get_worker_stats()["running_tasks"]["thread"] == 1)
    until(lambda: all(status_of(queue, each) is TaskStatus.RUNNING for each in ids))
    assert WorkerService.stop_workers(timeout=0) == 10
    for task_id in ids:
        found = queue.get_task_status(task_id)
        assert found is not None
        assert (found.status, found.retry_count, found.errors) == (TaskStatus.PENDING, 0, ())
    calls.is_open.set()
    calls.sizes.clear()
    queue.register_handler("double", calls.double, batch=7, wait=LONG_S)
    WorkerService.start_workers(1)
    assert sorted(queue.get_result(each, timeout=PATIENCE_S) for each in ids) == [2 * n for n in range(14)]


def test_a_handler_that_can_not_be_stopped_is_given_up_with_all_its_tasks(
    queue: Queue, surroundings: Any, monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.1")
    is_over = threading.Event()

    def deaf(payloads: Payloads) -> None:
        ends_at = time.monotonic() + PATIENCE_S
        while not is_over.is_set() and time.monotonic() < ends_at:
            with suppress(BaseException):
                is_over.wait(0.05)

    queue.register_handler("deaf", deaf, batch=2, wait=LONG_S, timeout=0.1, max_retries=0)
    queue.register_handler("double", calls.double, batch=2, wait=LONG_S)
    WorkerService.start_workers(1)
    try:
        for task_id in queue.enqueue_many(many("deaf", 2)):
            assert "could not be stopped" in error_of(queue, task_id)
        ids = queue.enqueue_many(many("double", 2))
        assert [queue.get_result(each, timeout=PATIENCE_S) for each in ids] == [0, 2]
    finally:
        is_over.set()
