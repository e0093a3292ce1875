"""What an application adds to its workers: hooks, a resource for each thread, scopes around each task."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    CurrentTask,
    PermanentError,
    TaskCancelledError,
    TaskFailedError,
    TaskInterrupted,
    TaskQueueService,
    TaskStatus,
    TaskTimeoutError,
    current_task,
)
from singleton_service.background.task_queue import task as decorated
from singleton_service.background.worker import (
    TaskEnd,
    WorkerResource,
    WorkerService,
    after_task,
    before_task,
    on_task_failure,
    on_worker_start,
    on_worker_stop,
    task_scope,
)
from singleton_service.exceptions import CircuitOpenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Queue = type[TaskQueueService]
PATIENCE_S = 30.0
SHORT_S = 0.05


def spin() -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at:
        pass


def takes_a_number(number: int) -> None:
    raise AssertionError(f"called with {number!r}")


def result(queue: Queue, task_id: str) -> Any:
    return queue.get_result(task_id, timeout=PATIENCE_S)


# Hooks


def test_hooks_tell_the_life_of_workers_and_of_each_attempt(queue: Queue) -> None:
    seen: list[Any] = []

    @on_worker_start
    def started() -> None:
        seen.append("worker started")

    @on_worker_stop
    def stopped() -> None:
        seen.append("worker stopped")

    @before_task
    def begins(task: CurrentTask) -> None:
        here = current_task()
        assert here is not None
        assert here.id == task.id
        seen.append((task.name, task.attempt))

    @on_task_failure
    def failed(end: TaskEnd) -> None:
        seen.append(("failed", str(end.error), end.retry_in_seconds))

    @after_task
    def ended(end: TaskEnd) -> None:
        assert end.run_seconds >= 0
        seen.append((end.task.id, end.status, end.result))

    def flaky(_payload: dict[str, Any]) -> str:
        task = current_task()
        assert task is not None
        if task.attempt == 1:
            raise ConnectionError("try again")
        return "done"

    def gives_up(_payload: dict[str, Any]) -> None:
        raise PermanentError("no such address")

    queue.register_handler("flaky", flaky, retry_delay_seconds=0)
    queue.register_handler("gives_up", gives_up)
    WorkerService.start_workers(1)
    first = queue.enqueue_task("flaky")
    assert result(queue, first) == "done"
    second = queue.enqueue_task("gives_up")
    with pytest.raises(TaskFailedError):
        result(queue, second)
    WorkerService.stop_workers()
    assert seen == [
        "worker started",
        ("flaky", 1),
        ("failed", "try again", 0),
        (first, TaskStatus.RETRYING, None),
        ("flaky", 2),
        (first, TaskStatus.COMPLETED, "done"),
        ("gives_up", 1),
        ("failed", "no such address", None),
        (second, TaskStatus.FAILED, None),
        "worker stopped",
    ]


def test_a_hook_that_raises_is_logged_and_changes_nothing(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    def leaves(*_facts: object) -> None:
        raise SystemExit("hook")

    def breaks() -> None:
        raise OSError("hook")

    for decorator in (on_worker_start, on_worker_stop):
        decorator(breaks)
    before_task(leaves)
    after_task(leaves)
    on_task_failure(leaves)
    queue.register_handler("add", lambda payload: payload["a"] + 1)
    queue.register_handler("bad", lambda payload: 1 / 0, max_retries=0)
    with caplog.at_level(logging.INFO):
        WorkerService.start_workers(1)
        assert result(queue, queue.enqueue_task("add", {"a": 1})) == 2
        with pytest.raises(TaskFailedError, match="division"):
            result(queue, queue.enqueue_task("bad"))
        assert WorkerService.stop_workers() == 0
    told = [record for record in caplog.records if record.getMessage().startswith("hook ")]
    assert len(told) == 7  # start and stop, two beginnings, two ends, one failure
    assert all(record.exc_info for record in told)


def test_an_async_hook_runs_on_the_loop_and_is_waited_for(queue: Queue) -> None:
    seen: list[Any] = []

    @on_worker_start
    async def started() -> None:
        await asyncio.sleep(0)
        seen.append(asyncio.get_running_loop())

    @before_task
    async def begins(task: CurrentTask) -> None:
        await asyncio.sleep(0)
        seen.append((asyncio.get_running_loop(), task.name))

    @on_worker_stop
    async def stopped() -> None:
        seen.append(asyncio.get_running_loop())

    queue.register_handler("count", lambda payload: len(seen))
    WorkerService.start_workers(1)
    assert result(queue, queue.enqueue_task("count")) == 2
    WorkerService.stop_workers()
    loop = seen[0]
    assert seen == [loop, (loop, "count"), loop]


def test_hooks_tell_of_time_limits_cancels_and_payloads_that_do_not_fit(
    queue: Queue, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.05")
    ends: dict[str, TaskEnd] = {}
    is_over = threading.Event()

    @after_task
    def ended(end: TaskEnd) -> None:
        assert end.task.name not in ends, "each attempt ends once"
        ends[end.task.name] = end

    def stuck(_payload: dict[str, Any]) -> None:
        while not is_over.is_set():
            with suppress(TaskInterrupted):
                is_over.wait(PATIENCE_S)

    queue.register_handler("long", lambda payload: spin(), timeout=SHORT_S, max_retries=0)
    queue.register_handler("stuck", stuck, timeout=SHORT_S, max_retries=0)
    queue.register_handler("cancelled", lambda payload: spin())
    typed_id = queue.enqueue_task("typed", {"number": "none"})  # before anybody here knows what it takes
    decorated(name="typed")(takes_a_number)
    WorkerService.start_workers(2)
    try:
        for task_id in (queue.enqueue_task("long"), queue.enqueue_task("stuck"), typed_id):
            with pytest.raises(TaskFailedError):
                result(queue, task_id)
        task_id = queue.enqueue_task("cancelled")
        until(queue.get_active_tasks)
        assert queue.cancel_task(task_id)
        with pytest.raises(TaskCancelledError):
            result(queue, task_id)
        until(lambda: len(ends) == 4)
    finally:
        is_over.set()
    WorkerService.stop_workers()
    assert {name: end.status for name, end in ends.items()} == {
        "long": TaskStatus.FAILED,
        "stuck": TaskStatus.FAILED,
        "typed": TaskStatus.FAILED,
        "cancelled": TaskStatus.CANCELLED,
    }
    assert isinstance(ends["long"].error, TaskTimeoutError)
    assert isinstance(ends["stuck"].error, TaskTimeoutError)
    assert "number" in str(ends["typed"].error)
    assert ends["cancelled"].error is None


def test_hooks_tell_of_an_attempt_that_a_circuit_breaker_refused(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    after_task(lambda end: seen.append((end.task.attempt, end.status, end.error)))
    on_task_failure(lambda end: seen.append("failed"))

    def pay(_payload: dict[str, Any]) -> str:
        if not seen:
            raise CircuitOpenError("Payments.breaker", 1, "ConnectionError")
        return "paid"

    queue.register_handler("pay", pay)
    WorkerService.start_workers(1)
    assert result(queue, queue.enqueue_task("pay")) == "paid"
    WorkerService.stop_workers()
    assert seen == [(1, TaskStatus.PENDING, None), (1, TaskStatus.COMPLETED, None)]
    assert "can't be dealt with" not in caplog.text


def test_hooks_tell_of_attempts_that_a_stop_cut_off_which_run_again(queue: Queue, until: Callable[..., Any]) -> None:
    statuses: dict[str, TaskStatus] = {}

    @after_task
    def ended(end: TaskEnd) -> None:
        statuses[end.task.name] = end.status

    async def coroutine(_payload: dict[str, Any]) -> None:
        await asyncio.sleep(PATIENCE_S)

    queue.register_handler("thread", lambda payload: spin())
    queue.register_handler("coroutine", coroutine)
    WorkerService.start_workers(1)
    ids = [queue.enqueue_task("thread"), queue.enqueue_task("coroutine")]
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 2)
    assert WorkerService.stop_workers(timeout=0) == 2
    assert statuses == {"thread": TaskStatus.PENDING, "coroutine": TaskStatus.PENDING}
    assert [task.status for task in map(queue.get_task_status, ids) if task is not None] == [TaskStatus.PENDING] * 2


# A resource for each thread


class Opened:
    """What was opened and closed, and where."""

    def __init__(self) -> None:
        self.story: list[tuple[str, str]] = []

    def maker(self, name: str) -> Callable[[], Any]:
        @contextmanager
        def open_one() -> Iterator[str]:
            self.story.append((f"{name} opens", threading.current_thread().name))
            try:
                yield f"{name} of {threading.current_thread().name}"
            finally:
                self.story.append((f"{name} closes", threading.current_thread().name))

        return open_one


def test_each_thread_has_its_own_resources_from_its_first_task_to_its_end(queue: Queue) -> None:
    opened = Opened()
    first: WorkerResource[str] = WorkerResource(opened.maker("first"))
    second: WorkerResource[str] = WorkerResource(opened.maker("second"))
    together = threading.Barrier(2)

    def handler(_payload: dict[str, Any]) -> list[str]:
        together.wait(PATIENCE_S)
        return [first.get(), second.get(), threading.current_thread().name]

    queue.register_handler("who", handler)
    queue.register_handler("bad", lambda payload: 1 / 0, max_retries=0)
    WorkerService.start_workers(3)
    answers = [result(queue, task_id) for task_id in [queue.enqueue_task("who") for _ in range(2)]]
    threads = {thread for _, _, thread in answers}
    assert len(threads) == 2
    for a, b, thread in answers:
        assert (a, b) == (f"first of {thread}", f"second of {thread}")
    with pytest.raises(TaskFailedError):
        result(queue, queue.enqueue_task("bad"))
    before = list(opened.story)
    WorkerService.stop_workers()
    for name in {thread for _, thread in opened.story}:
        own = [event for event, thread in opened.story if thread == name]
        assert own == ["first opens", "second opens", "second closes", "first closes"]
    assert not [event for event, _ in before if event.endswith("closes")]
    with pytest.raises(LookupError, match=r"first.*is not open in thread 'MainThread'|maker.*is not open"):
        first.get()


def test_while_a_resource_can_not_be_opened_tasks_are_held_uncounted_and_then_go_on(
    queue: Queue, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    is_there = threading.Event()

    @contextmanager
    def connect() -> Iterator[str]:
        if not is_there.is_set():
            raise ConnectionRefusedError("nobody listens")
        yield "connected"

    connection = WorkerResource(connect)
    queue.register_handler("ask", lambda payload: connection.get(), max_retries=0)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("ask")

    def reason() -> str | None:
        task = queue.get_task_status(task_id)
        return None if task is None else task.held_reason

    assert "connect can't be opened: ConnectionRefusedError: nobody listens" in until(reason)
    assert caplog.text.count("Tasks are held until it is") == 1
    is_there.set()
    assert result(queue, task_id) == "connected"
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.retry_count, task.errors) == (0, ())


def test_a_resource_that_fails_to_close_does_not_keep_others_open(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    opened = Opened()

    @contextmanager
    def breaks() -> Iterator[None]:
        yield
        raise OSError("the line is dead")

    WorkerResource(opened.maker("first"))
    WorkerResource(breaks)
    queue.register_handler("add", lambda payload: payload["a"] + 1)
    WorkerService.start_workers(1)
    assert result(queue, queue.enqueue_task("add", {"a": 1})) == 2
    WorkerService.stop_workers()
    assert [event for event, _ in opened.story] == ["first opens", "first closes"]
    assert "the line is dead" in caplog.text


def test_a_thread_that_was_given_up_closes_its_scope_and_its_resource_when_it_ends_at_last(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.05")
    opened = Opened()
    is_over = threading.Event()
    seen: list[BaseException | None] = []

    @task_scope
    @contextmanager
    def watch() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(error)
            raise
        seen.append(None)

    def stubborn(_payload: dict[str, Any]) -> str:
        while not is_over.is_set():
            with suppress(TaskInterrupted):
                is_over.wait(PATIENCE_S)  # in C: what is thrown waits for its end
        return "late"

    WorkerResource(opened.maker("one"))
    queue.register_handler("stubborn", stubborn, timeout=SHORT_S, max_retries=0)
    queue.register_handler("add", lambda payload: payload["a"] + 1)
    WorkerService.start_workers(1)
    try:
        with pytest.raises(TaskFailedError, match="could not be stopped"):
            result(queue, queue.enqueue_task("stubborn"))
        assert result(queue, queue.enqueue_task("add", {"a": 1})) == 2
        assert [event for event, _ in opened.story] == ["one opens", "one opens"]
        assert seen == [None]  # of the second task
    finally:
        is_over.set()
    until(lambda: len(opened.story) == 3)
    assert isinstance(seen[1], TaskInterrupted), "what it did late is not to be kept"
    WorkerService.stop_workers()
    assert [event for event, _ in opened.story][2:] == ["one closes", "one closes"]


def test_what_opened_in_a_block_is_there_for_handlers_called_in_it() -> None:
    opened = Opened()
    resource: WorkerResource[str] = WorkerResource(opened.maker("one"))
    with resource.opened() as one, resource.opened() as other:
        assert resource.get() == other == one
    assert len(opened.story) == 4
    with pytest.raises(LookupError, match=r"call them in `with resource\.opened\(\):`"):
        resource.get()


def test_a_child_that_forks_off_has_no_connection_of_its_parents() -> None:
    opened = Opened()
    resource: WorkerResource[str] = WorkerResource(opened.maker("one"))
    with resource.opened():
        pid = os.fork()
        if pid == 0:
            try:
                resource.get()
            except LookupError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert resource.get()


# A scope for each task


def test_scopes_nest_around_each_handler_and_see_its_error(queue: Queue) -> None:
    seen: list[str] = []

    def scope_named(name: str) -> Callable[[], Any]:
        @contextmanager
        def scope() -> Iterator[None]:
            task = current_task()
            assert task is not None
            seen.append(f"{name} enters {task.name}")
            try:
                yield
            except ValueError:
                seen.append(f"{name} rolls back")  # and forgets to raise it again
            else:
                seen.append(f"{name} commits")

        return scope

    task_scope(scope_named("outer"))
    task_scope(scope_named("inner"))
    queue.register_handler("good", lambda payload: seen.append("works"))
    queue.register_handler("bad", lambda payload: int("x"), max_retries=0)
    WorkerService.start_workers(1)
    result(queue, queue.enqueue_task("good"))
    task_id = queue.enqueue_task("bad")
    with pytest.raises(TaskFailedError, match="invalid literal"):
        result(queue, task_id)
    assert seen == [
        *("outer enters good", "inner enters good", "works", "inner commits", "outer commits"),
        *("outer enters bad", "inner enters bad", "inner rolls back", "outer rolls back"),
    ]
    task = queue.get_task_status(task_id)
    assert task is not None
    trace = str(task.errors[0].traceback)
    assert "int(" in trace
    assert "scopes.py" not in trace


@pytest.mark.parametrize("when", ["enters", "closes"])
def test_an_error_of_a_scope_fails_the_attempt(queue: Queue, when: str) -> None:
    calls: list[str] = []

    @task_scope
    @contextmanager
    def transaction() -> Iterator[None]:
        task = current_task()
        assert task is not None
        if task.attempt == 1 and when == "enters":
            raise OSError("no connection left")
        yield
        if task.attempt == 1:
            raise OSError("commit failed")

    queue.register_handler("work", lambda payload: calls.append("called"), retry_delay_seconds=0)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("work")
    result(queue, task_id)
    task = queue.get_task_status(task_id)
    assert task is not None
    (error,) = task.errors
    assert error.type == "OSError"
    assert "transaction" in str(error.traceback)
    assert len(calls) == (1 if when == "enters" else 2)


def test_what_interrupts_a_handler_never_reaches_a_scope_that_opens_or_closes(queue: Queue) -> None:
    story: list[str] = []

    @task_scope
    @contextmanager
    def slow() -> Iterator[None]:
        pause()
        story.append("entered")
        try:
            yield
        except TaskInterrupted:
            story.append("interrupted")
            raise
        finally:
            pause()
            story.append("closed")

    def pause() -> None:
        ends_at = time.monotonic() + 3 * SHORT_S
        while time.monotonic() < ends_at:
            pass

    queue.register_handler("short", lambda payload: story.append("works"), timeout=SHORT_S, max_retries=0)
    queue.register_handler("long", lambda payload: spin(), timeout=SHORT_S, max_retries=0)
    WorkerService.start_workers(1)
    result(queue, queue.enqueue_task("short"))
    with pytest.raises(TaskFailedError, match="time limit"):
        result(queue, queue.enqueue_task("long"))
    assert story == ["entered", "works", "closed", "entered", "interrupted", "closed"]


def test_a_scope_keeps_nothing_of_a_task_that_was_handed_back(queue: Queue, until: Callable[..., Any]) -> None:
    is_over = threading.Event()
    story: list[str] = []

    @task_scope
    @contextmanager
    def transaction() -> Iterator[None]:
        try:
            yield
        except TaskInterrupted:
            story.append("rolled back")
            raise
        story.append("committed")

    queue.register_handler("long", lambda payload: is_over.wait(PATIENCE_S))
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("long")
    until(lambda: WorkerService.get_worker_stats()["busy_workers"])
    assert WorkerService.stop_workers(timeout=0) == 1
    is_over.set()
    until(lambda: story)
    assert story == ["rolled back"]
    WorkerService.start_workers(1)
    assert result(queue, task_id) is True
    assert story == ["rolled back", "committed"]
