"""immediate(): the handler runs before the enqueue returns, and everything else is as ever."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue import TaskHandle, TaskQueueService, TaskRequest, TaskStatus, task
from singleton_service.background.worker import WorkerResource, WorkerService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singleton_service.background.testing import TaskQueueBench


def test_a_task_has_run_when_its_enqueue_returns_and_its_result_is_kept(task_queue: TaskQueueBench) -> None:
    threads = []

    @task
    def add(a: int, b: int) -> int:
        threads.append(threading.current_thread())
        return a + b

    with task_queue.immediate():
        assert add.enqueue(a=1, b=2).result == 3
        assert TaskQueueService.get_result(TaskQueueService.enqueue_task("add", {"a": 2, "b": 2})) == 4
    assert threads == [threading.current_thread()] * 2
    assert add.enqueue(a=0, b=0).status is TaskStatus.PENDING


def test_what_a_handler_gets_has_been_json(task_queue: TaskQueueBench) -> None:
    got = []

    @task
    def take(payload: dict[str, object]) -> object:
        got.append(payload)
        return payload

    given = {"pair": [1, 2]}
    with task_queue.immediate():
        handle = take.enqueue(**given)
        assert handle.result == given
        assert got[0] == given
        assert got[0]["pair"] is not given["pair"]
        with pytest.raises(TypeError, match="JSON"):
            take.enqueue(day=date(2024, 1, 1))
        TaskQueueService.register_handler("odd", lambda _payload: object())
        with pytest.raises(TypeError, match="JSON"):
            TaskQueueService.enqueue_task("odd", {})


def test_arguments_are_checked_at_the_caller_and_read_as_their_types(task_queue: TaskQueueBench) -> None:
    @task
    def weekday(day: date) -> str:
        return day.strftime("%A")

    with task_queue.immediate():
        assert weekday.enqueue(day=date(2024, 1, 1)).result == "Monday"
        with pytest.raises(ValueError, match="day"):
            TaskQueueService.enqueue_task("weekday", {"day": "yesterday"})


def test_what_handlers_enqueue_has_run_too_and_they_may_wait_for_it(task_queue: TaskQueueBench) -> None:
    @task
    def count(n: int) -> int:
        return 1 + (count.enqueue(n=n - 1).get(timeout=10) if n else 0)

    @task
    async def count_async(n: int) -> int:
        below = await count_async.enqueue(n=n - 1).aget(timeout=10) if n else 0
        awaited = TaskHandle(await TaskQueueService.aenqueue_task("count", {"n": 0}))
        return int(below + await awaited.aget(timeout=10))

    with task_queue.immediate():
        assert count.enqueue(n=3).result == 4
        assert count_async.enqueue(n=2).result == 3


def test_many_are_done_in_their_order(task_queue: TaskQueueBench) -> None:
    done = []
    TaskQueueService.register_handler("note", lambda payload: done.append(payload["n"]))
    with task_queue.immediate():
        TaskQueueService.enqueue_many(TaskRequest("note", {"n": n}) for n in range(5))
    assert done == [0, 1, 2, 3, 4]


def test_an_error_comes_out_of_the_enqueue_unless_it_is_collected(task_queue: TaskQueueBench) -> None:
    @task(max_retries=0)
    def fail() -> None:
        raise ZeroDivisionError

    with task_queue.immediate(), pytest.raises(ZeroDivisionError):
        fail.enqueue()
    with task_queue.immediate(errors="collect"):
        assert fail.enqueue().status is TaskStatus.FAILED


def test_delays_and_retries_wait_for_the_clock_and_run_when_it_is_moved(task_queue: TaskQueueBench) -> None:
    done = []

    @task(max_retries=1, retry_delay_seconds=60)
    def flaky() -> None:
        done.append(task_queue.clock.now())
        if len(done) == 1:
            raise ZeroDivisionError

    with task_queue.immediate(errors="collect"):
        TaskQueueService.enqueue_task("flaky", {}, delay_seconds=3600)
        assert done == []
        task_queue.clock.move(hours=1)
        assert len(done) == 1
        task_queue.clock.move(minutes=1)
        assert len(done) == 2


def test_coroutines_of_the_application_enqueue_immediately_too(task_queue: TaskQueueBench) -> None:
    @task
    def add(a: int) -> int:
        return a + 1

    async def endpoint() -> int:
        return int(await TaskQueueService.aget_result(await TaskQueueService.aenqueue_task("add", {"a": 1})))

    with task_queue.immediate():
        assert asyncio.run(endpoint()) == 2


def test_each_of_many_at_once_gets_its_own_error(task_queue: TaskQueueBench) -> None:
    @task(max_retries=0)
    def fail(n: int) -> int:
        if n % 2:
            raise ZeroDivisionError(n)
        return n

    async def endpoint(n: int) -> str:
        task_id = f"t{n}"
        try:
            await TaskQueueService.aenqueue_task("fail", {"n": n}, task_id=task_id, queue=f"q{n}")
        except ZeroDivisionError as error:
            return str(error)
        return "fine"

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(endpoint(n) for n in range(20)))

    with task_queue.immediate():
        said = asyncio.run(all_at_once())
    # Whoever enqueues does whatever there is to do, be it another's; but each error is raised once.
    assert sorted(word for word in said if word != "fine") == sorted(str(n) for n in range(1, 20, 2))


def test_workers_of_the_application_may_enqueue_immediately_too(task_queue: TaskQueueBench) -> None:
    opened = []

    @contextmanager
    def connection() -> Iterator[str]:
        opened.append("open")
        yield "connection"
        opened.append("closed")

    resource = WorkerResource(connection)

    @task
    def inner() -> str:
        return resource.get()

    @task
    def outer() -> str:
        handle = inner.enqueue()
        assert resource.get() == "connection"
        return handle.id

    with task_queue.immediate():
        WorkerService.start_workers(1)
        handles = [outer.enqueue() for _ in range(5)]
        task_queue.drain()
    assert [TaskHandle(handle.result).result for handle in handles] == ["connection"] * 5
    assert opened.count("open") - opened.count("closed") <= 1
