"""drain() and adrain(): what a worker does, done by the test."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import traceback
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from singleton_service import BaseService, guarded, requires
from singleton_service.background.task_queue import (
    PermanentError,
    Retry,
    TaskFailedError,
    TaskHandler,
    TaskPriority,
    TaskQueueService,
    TaskResult,
    TaskStatus,
    TaskTimeoutError,
    current_task,
    task,
)
from singleton_service.background.testing import TaskHeldError
from singleton_service.background.worker import (
    LoopResource,
    WorkerResource,
    WorkerService,
    after_task,
    before_task,
    on_worker_start,
    on_worker_stop,
    task_scope,
)
from tests.unit.worker import jobs_for_processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from singleton_service.background.testing import TaskQueueBench


class Broken(Exception):  # noqa: N818 - a handler's own, whatever it is called
    """What handlers here raise."""


def test_a_drain_runs_what_is_there_in_this_thread_and_says_what_it_ran(task_queue: TaskQueueBench) -> None:
    threads = []

    @task
    def add(a: int, b: int) -> int:
        threads.append(threading.current_thread())
        return a + b

    handles = [add.enqueue(a=1, b=2), add.enqueue(a=3, b=4)]
    attempts = task_queue.drain()

    assert [attempt.task.id for attempt in attempts] == [handle.id for handle in handles]
    assert [(attempt.task.status, attempt.task.result, attempt.error) for attempt in attempts] == [
        (TaskStatus.COMPLETED, 3, None),
        (TaskStatus.COMPLETED, 7, None),
    ]
    assert threads == [threading.current_thread()] * 2
    assert handles[0].result == 3
    assert task_queue.drain() == []


def test_a_drain_goes_on_with_what_handlers_enqueue_and_takes_urgent_things_first(task_queue: TaskQueueBench) -> None:
    done = []

    @task
    def note(word: str) -> None:
        done.append(word)
        if word == "low":
            TaskQueueService.enqueue_task("note", {"word": "late"}, queue="elsewhere")

    for queue in ("elsewhere", "low", "default", "critical"):
        TaskQueueService.enqueue_task("note", {"word": queue}, queue=queue)
    TaskQueueService.enqueue_task("note", {"word": "high"}, priority=TaskPriority.HIGH)
    task_queue.drain()

    assert done == ["critical", "high", "default", "low", "elsewhere", "late"]


def test_the_error_of_a_handler_is_raised_with_its_traceback_and_the_queue_knows_it(task_queue: TaskQueueBench) -> None:
    raised = Broken("no paper")

    @task(max_retries=1)
    def print_page(page: int) -> None:
        raise raised

    failing, waiting = print_page.enqueue(page=1), print_page.enqueue(page=2)
    with pytest.raises(Broken) as caught:
        task_queue.drain()

    assert caught.value is raised
    assert traceback.extract_tb(raised.__traceback__)[-1].name == "print_page"
    files = {frame.filename.rpartition("/")[2] for frame in traceback.extract_tb(raised.__traceback__)}
    assert files == {"test_drain.py", "bench.py"}
    assert (failing.status, waiting.status) == (TaskStatus.RETRYING, TaskStatus.PENDING)


def test_errors_are_collected_when_asked_for(task_queue: TaskQueueBench) -> None:
    @task(max_retries=0)
    def halve(n: int) -> int:
        if n % 2:
            raise Broken(n)
        return n // 2

    handles = [halve.enqueue(n=n) for n in (1, 2, 3)]
    attempts = task_queue.drain(errors="collect")

    assert [str(attempt.error) for attempt in attempts] == ["1", "None", "3"]
    assert [handle.status for handle in handles] == [TaskStatus.FAILED, TaskStatus.COMPLETED, TaskStatus.FAILED]
    with pytest.raises(TaskFailedError, match="1"):
        _ = handles[0].result
    with pytest.raises(ValueError, match="'raise', 'collect'"):
        task_queue.drain(errors="ignore")  # type: ignore[arg-type]


def test_what_ends_a_test_gets_through_even_where_errors_are_collected(task_queue: TaskQueueBench) -> None:
    @task(max_retries=0)
    def end(how: str) -> None:
        if how == "pytest":
            pytest.fail("this must not happen")
        raise KeyboardInterrupt

    end.enqueue(how="pytest")
    with pytest.raises(pytest.fail.Exception, match="must not happen"):
        task_queue.drain(errors="collect")
    end.enqueue(how="Ctrl-C")
    with pytest.raises(KeyboardInterrupt):
        task_queue.drain(errors="collect")


def test_a_handler_that_asks_for_a_retry_has_not_failed(task_queue: TaskQueueBench) -> None:
    @task(max_retries=1)
    def ask() -> str:
        if current_task().is_last_attempt:  # type: ignore[union-attr]
            return "answered"
        raise Retry(delay_seconds=0)

    handle = ask.enqueue()
    first, second = task_queue.drain()

    assert isinstance(first.error, Retry)
    assert (first.task.status, second.task.status, handle.result) == ("retrying", "completed", "answered")


def test_a_failure_that_is_returned_is_raised_and_so_is_a_result_that_is_no_json(task_queue: TaskQueueBench) -> None:
    @task
    def refuse() -> TaskResult:
        return TaskResult(success=False, error="not today", retryable=False)

    @task
    def odd() -> object:
        return object()

    refuse.enqueue()
    with pytest.raises(PermanentError, match="not today"):
        task_queue.drain()
    odd.enqueue()
    with pytest.raises(TypeError, match="JSON"):
        task_queue.drain()


def test_a_task_nobody_knows_is_an_error_that_says_so(task_queue: TaskQueueBench) -> None:
    task_id = TaskQueueService.enqueue_task("resize", {})
    with pytest.raises(TaskHeldError, match="No handler registered for task: resize") as caught:
        task_queue.drain()
    assert (caught.value.task_id, caught.value.name) == (task_id, "resize")


def test_coroutines_keep_their_loop_from_drain_to_drain(task_queue: TaskQueueBench) -> None:
    loops = []

    @task
    async def double(n: int) -> int:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return 2 * n

    @task
    def given() -> Any:
        return double(n=4)

    handle = double.enqueue(n=2)
    task_queue.drain()
    awaited = given.enqueue()
    task_queue.drain()

    assert (handle.result, awaited.result) == (4, 8)
    assert len(loops) == 2
    assert loops[0] is loops[1]


def test_an_async_test_has_coroutines_on_its_own_loop_and_plain_handlers_in_threads(
    task_queue: TaskQueueBench,
) -> None:
    @task
    async def here() -> int:
        return id(asyncio.get_running_loop())

    @task
    def aside() -> int:
        asyncio.run(asyncio.sleep(0))  # there is no loop in its thread
        return threading.get_ident()

    async def test() -> None:
        coroutine, plain = here.enqueue(), aside.enqueue()
        assert len(await task_queue.adrain()) == 2
        assert coroutine.result == id(asyncio.get_running_loop())
        assert plain.result != threading.get_ident()
        assert [each for each in asyncio.all_tasks() if each is not asyncio.current_task()] == []

    asyncio.run(test())


def test_an_async_drain_raises_what_a_coroutine_raised(task_queue: TaskQueueBench) -> None:
    @task(max_retries=0)
    async def fail() -> None:
        raise Broken("no network")

    async def test() -> None:
        fail.enqueue()
        with pytest.raises(Broken, match="no network") as caught:
            await task_queue.adrain()
        assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"

    asyncio.run(test())


def test_services_that_a_handler_requires_are_started_and_stand_ins_count(
    task_queue: TaskQueueBench, services: Any
) -> None:
    class Database(BaseService):
        @classmethod
        def initialize(cls) -> None:
            raise Broken("no test may reach the real one")

        @classmethod
        @guarded
        def count(cls) -> int:
            return -1

    class Fake(BaseService):
        @classmethod
        @guarded
        def count(cls) -> int:
            return 7

        @classmethod
        def ping(cls) -> bool:
            return True

    @requires(Database)
    class CountRows(TaskHandler):
        @classmethod
        def perform(cls) -> int:
            return Database.count()

    handle = CountRows.perform_async()
    with pytest.raises(TaskHeldError, match="no test may reach the real one"):
        task_queue.drain()
    assert handle.status is TaskStatus.PENDING

    services.override(Database, Fake)
    task_queue.clock.move(minutes=1)
    task_queue.drain()
    assert handle.result == 7


def test_async_services_live_on_the_loop_of_the_coroutines_until_the_test_ends(task_queue: TaskQueueBench) -> None:
    class Pool(BaseService):
        seen: ClassVar[list[object]] = []

        @classmethod
        async def initialize(cls) -> None:
            cls.seen.append(asyncio.get_running_loop())

    @requires(Pool)
    class Query(TaskHandler):
        @classmethod
        async def perform(cls) -> None:
            Pool.seen.append(asyncio.get_running_loop())

    for _ in range(2):
        Query.perform_async()
        task_queue.drain()

    assert len(Pool.seen) == 3
    assert len(set(map(id, Pool.seen))) == 1


def test_a_batch_is_called_once_for_many_and_others_keep_their_turn(task_queue: TaskQueueBench) -> None:
    @task(batch=3)
    def sizes(payloads: list[dict[str, int]]) -> list[int]:
        return [len(payloads)] * len(payloads)

    @task
    def alone() -> str:
        return "alone"

    before = [sizes.enqueue(n=n) for n in range(2)]
    between = alone.enqueue()
    after = [sizes.enqueue(n=n) for n in range(4)]
    attempts = task_queue.drain()

    assert between.result == "alone"
    assert [handle.result for handle in before + after] == [2, 2, 3, 3, 3, 1]
    assert len(attempts) == 7


def test_an_error_of_a_batch_is_that_of_each_task_and_what_was_fetched_goes_back(task_queue: TaskQueueBench) -> None:
    @task(batch=5, max_retries=0)
    def fail(payloads: list[dict[str, int]]) -> list[int]:
        raise Broken("all of it")

    @task
    def innocent() -> str:
        return "done"

    failing = [fail.enqueue(n=n) for n in range(2)]
    handle = innocent.enqueue()
    with pytest.raises(Broken, match="all of it"):
        task_queue.drain()
    assert [each.status for each in failing] == [TaskStatus.FAILED] * 2
    assert handle.status is TaskStatus.PENDING
    task_queue.drain()
    assert handle.result == "done"


def test_a_time_limit_ends_a_handler_in_a_drain_too(task_queue: TaskQueueBench) -> None:
    @task(timeout=0.01, max_retries=0)
    def busy() -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            pass

    @task(timeout=0.01, max_retries=0)
    async def stuck() -> None:
        await asyncio.sleep(30)

    for each in (busy, stuck):
        each.enqueue()
        with pytest.raises(TaskTimeoutError):
            task_queue.drain()


def test_hooks_resources_and_scopes_are_as_in_a_worker(task_queue: TaskQueueBench) -> None:
    said: list[str] = []

    @contextmanager
    def connection() -> Iterator[str]:
        said.append("open")
        yield "connection"
        said.append("close")

    @asynccontextmanager
    async def pool() -> AsyncIterator[str]:
        said.append("open pool")
        yield "pool"
        said.append("close pool")

    @task_scope(coroutines=False)
    @contextmanager
    def transaction() -> Iterator[None]:
        said.append("begin")
        yield
        said.append("commit")

    a, b = WorkerResource(connection), LoopResource(pool)
    on_worker_start(lambda: said.append("start"))
    on_worker_stop(lambda: said.append("stop"))
    before_task(lambda task: said.append(f"before {task.name}"))
    after_task(lambda end: said.append(f"after {end.task.name}"))

    @task
    def plain() -> str:
        return a.get()

    @task
    async def coroutine() -> str:
        return b.get()

    handles = [plain.enqueue(), coroutine.enqueue()]
    task_queue.drain()
    assert [handle.result for handle in handles] == ["connection", "pool"]
    assert said == [
        *("start", "open", "before plain", "begin", "commit", "after plain"),
        *("open pool", "before coroutine", "after coroutine", "close"),
    ]
    task_queue.__exit__()
    assert said[-2:] == ["close pool", "stop"]


def test_a_drain_waits_for_workers_of_the_application_and_raises_their_errors(
    task_queue: TaskQueueBench, until: Callable[..., object]
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    @task(max_retries=0)
    def fail() -> None:
        begun.set()
        may_end.wait(10)
        raise Broken("in a worker")

    WorkerService.start_workers(1)
    handle = fail.enqueue()
    assert begun.wait(10)
    threading.Timer(0.05, may_end.set).start()
    with pytest.raises(Broken, match="in a worker"):
        task_queue.drain()
    assert handle.status is TaskStatus.FAILED


def test_what_has_a_process_of_its_own_is_run_in_the_process_of_the_test(
    task_queue: TaskQueueBench,
) -> None:
    TaskQueueService.register_handler("pid", jobs_for_processes.pid, execution="process")
    TaskQueueService.enqueue_task("pid")
    (attempt,) = task_queue.drain()
    assert attempt.task.result == os.getpid()


def test_nothing_is_taken_from_a_paused_queue_or_beyond_its_limit(task_queue: TaskQueueBench) -> None:
    @task
    def job() -> str:
        return "done"

    TaskQueueService.enqueue_task("job", {}, queue="low")
    TaskQueueService.pause_queue("low")
    assert task_queue.drain() == []
    TaskQueueService.resume_queue("low")
    assert len(task_queue.drain()) == 1


def test_a_task_that_its_handler_cancels_ends_as_cancelled(task_queue: TaskQueueBench) -> None:
    @task
    def give_up() -> None:
        running = current_task()
        assert running is not None
        assert TaskQueueService.cancel_task(running.id)
        raise Broken("no longer wanted")

    handle = give_up.enqueue()
    task_queue.drain(errors="collect")
    assert handle.status is TaskStatus.CANCELLED


def test_a_result_that_is_kept_for_no_time_is_seen_in_the_attempt(task_queue: TaskQueueBench) -> None:
    @task
    def secret() -> str:
        return "s3cret"

    task_id = TaskQueueService.enqueue_task("secret", {}, result_ttl=0)
    (attempt,) = task_queue.drain()
    assert attempt.task.result == "s3cret"
    assert TaskQueueService.get_task_status(task_id) is None


def test_an_attempt_shows_the_task_as_it_stood_then_on_a_server_that_knows_no_script_yet(
    task_queue: TaskQueueBench,
) -> None:
    @task(max_retries=0)
    def fail() -> None:
        raise Broken

    fail.enqueue()
    TaskQueueService._open_client().link.call(b"SCRIPT", b"FLUSH")
    (attempt,) = task_queue.drain(errors="collect")
    assert attempt.task.status is TaskStatus.FAILED
