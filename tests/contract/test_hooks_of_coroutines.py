"""What an application adds to its workers, for coroutines: resources of the loop, scopes that are awaited."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskFailedError, TaskQueueService, current_task
from singleton_service.background.worker import (
    LoopResource,
    TaskEnd,
    WorkerResource,
    WorkerService,
    after_task,
    before_task,
    on_worker_stop,
    task_scope,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from singleton_service.background.task_queue import CurrentTask

Queue = type[TaskQueueService]
PATIENCE_S = 30.0
SHORT_S = 0.05


def result(queue: Queue, task_id: str) -> Any:
    return queue.get_result(task_id, timeout=PATIENCE_S)


def test_coroutines_share_what_is_opened_once_on_their_loop_and_closed_at_the_end(queue: Queue) -> None:
    story: list[Any] = []

    def maker(name: str) -> Callable[[], Any]:
        @asynccontextmanager
        async def open_one() -> AsyncIterator[tuple[str, asyncio.AbstractEventLoop]]:
            await asyncio.sleep(0)
            story.append(f"{name} opens")
            # It must be closed by the very task that opened it.
            async with asyncio.timeout(None):
                yield name, asyncio.get_running_loop()
            story.append(f"{name} closes")

        return open_one

    first: LoopResource[Any] = LoopResource(maker("first"))
    second: LoopResource[Any] = LoopResource(maker("second"))

    @on_worker_stop
    def stopped() -> None:
        story.append("worker stopped")

    async def handler(_payload: dict[str, Any]) -> list[str]:
        loop = asyncio.get_running_loop()
        assert first.get()[1] is second.get()[1] is loop
        return [first.get()[0], second.get()[0]]

    queue.register_handler("who", handler)
    queue.register_handler("plain", lambda payload: first.get(), max_retries=0)
    WorkerService.start_workers(1)
    for task_id in [queue.enqueue_task("who") for _ in range(5)]:
        assert result(queue, task_id) == ["first", "second"]
    with pytest.raises(TaskFailedError, match=r"is not open in thread 'worker-1'.*for coroutines"):
        result(queue, queue.enqueue_task("plain"))
    WorkerService.stop_workers()
    assert story == ["first opens", "second opens", "second closes", "first closes", "worker stopped"]


def test_coroutines_are_held_while_what_they_share_can_not_be_opened_and_threads_go_on(
    queue: Queue, until: Callable[..., Any]
) -> None:
    is_there = threading.Event()

    @asynccontextmanager
    async def connect() -> AsyncIterator[str]:
        if not is_there.is_set():
            raise ConnectionRefusedError("nobody listens")
        yield "connected"

    connection = LoopResource(connect)

    async def ask(_payload: dict[str, Any]) -> str:
        return connection.get()

    queue.register_handler("ask", ask, max_retries=0)
    queue.register_handler("add", lambda payload: payload["a"] + 1)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("ask")

    def reason() -> str | None:
        task = queue.get_task_status(task_id)
        return None if task is None else task.held_reason

    assert "connect can't be opened: ConnectionRefusedError: nobody listens" in until(reason)
    assert result(queue, queue.enqueue_task("add", {"a": 1})) == 2
    is_there.set()
    assert result(queue, task_id) == "connected"


def test_plain_and_async_scopes_nest_around_a_coroutine_and_only_plain_ones_around_a_function(queue: Queue) -> None:
    seen: list[str] = []

    def name() -> str:
        task = current_task()
        assert task is not None
        return task.name

    @task_scope
    @contextmanager
    def plain() -> Iterator[None]:
        seen.append(f"plain enters {name()}")
        yield
        seen.append(f"plain leaves {name()}")

    @task_scope
    @asynccontextmanager
    async def awaited() -> AsyncIterator[None]:
        await asyncio.sleep(0)
        seen.append(f"awaited enters {name()}")
        try:
            yield
        except ValueError:
            await asyncio.sleep(0)
            seen.append(f"awaited rolls back {name()}")  # and forgets to raise it again

    @task_scope(coroutines=False)
    @contextmanager
    def for_functions() -> Iterator[None]:
        seen.append(f"for_functions enters {name()}")
        yield

    async def coroutine(_payload: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        raise ValueError("bad")

    queue.register_handler("coroutine", coroutine, max_retries=0)
    queue.register_handler("function", lambda payload: None)
    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError, match="bad"):
        result(queue, queue.enqueue_task("coroutine"))
    result(queue, queue.enqueue_task("function"))
    assert seen == [
        *("plain enters coroutine", "awaited enters coroutine", "awaited rolls back coroutine"),
        *("plain enters function", "for_functions enters function", "plain leaves function"),
    ]


def test_a_resource_of_threads_is_not_for_coroutines(queue: Queue) -> None:
    @contextmanager
    def connect() -> Iterator[str]:
        yield "connected"

    connection = WorkerResource(connect)

    async def ask(_payload: dict[str, Any]) -> str:
        return connection.get()

    queue.register_handler("ask", ask, max_retries=0)
    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError, match=r"connect is not open in thread 'worker-asyncio'.*for plain handlers"):
        result(queue, queue.enqueue_task("ask"))


def test_what_interrupts_a_coroutine_never_reaches_a_scope_that_opens_or_closes(queue: Queue) -> None:
    story: list[str] = []

    @task_scope
    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        await asyncio.sleep(3 * SHORT_S)
        story.append("entered")
        try:
            yield
        except asyncio.CancelledError:
            story.append("interrupted")
            raise
        finally:
            await asyncio.sleep(3 * SHORT_S)
            story.append("closed")

    @before_task
    async def begins(_task: CurrentTask) -> None:
        await asyncio.sleep(2 * SHORT_S)

    @after_task
    async def ends(end: TaskEnd) -> None:
        await asyncio.sleep(2 * SHORT_S)
        story.append(end.status)

    async def short(_payload: dict[str, Any]) -> None:
        story.append("works")

    async def long(_payload: dict[str, Any]) -> None:
        await asyncio.sleep(PATIENCE_S)

    queue.register_handler("short", short, timeout=SHORT_S, max_retries=0)
    queue.register_handler("long", long, timeout=SHORT_S, max_retries=0)
    WorkerService.start_workers(1)
    result(queue, queue.enqueue_task("short"))
    with pytest.raises(TaskFailedError, match="time limit"):
        result(queue, queue.enqueue_task("long"))
    assert story == ["entered", "works", "closed", "completed", "entered", "interrupted", "closed", "failed"]


def test_a_stop_that_cuts_coroutines_off_closes_their_scopes_before_what_they_share(
    queue: Queue, until: Callable[..., Any]
) -> None:
    story: list[str] = []

    @asynccontextmanager
    async def open_pool() -> AsyncIterator[None]:
        yield
        story.append("pool closes")

    LoopResource(open_pool)

    @task_scope
    @asynccontextmanager
    async def borrowed() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(SHORT_S)
            story.append("gives back")

    async def long(_payload: dict[str, Any]) -> None:
        await asyncio.sleep(PATIENCE_S)

    queue.register_handler("long", long)
    WorkerService.start_workers(1)
    queue.enqueue_task("long")
    until(lambda: WorkerService.get_worker_stats()["busy_workers"])
    assert WorkerService.stop_workers(timeout=0) == 1
    assert story == ["gives back", "pool closes"]
