"""The async twins, on every engine."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

import singleton_service
from singleton_service.background.task_queue import (
    QueueFullError,
    QueueUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskQueueService,
    TaskRequest,
    TaskStatus,
    loop_line,
)
from singleton_service.background.task_queue.waiters import LoopWaiter
from singleton_service.background.task_queue.wire import Wire
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from singleton_service.background.task_queue.loop_line import LoopLine

Queue = type[TaskQueueService]
TWINS = ["enqueue_task", "enqueue_many", "get_task_status", "get_result", "cancel_task"]


async def until_marked(queue: Queue, number: int = 1) -> None:
    while len(queue._open_endings()._marked) < number:  # noqa: ASYNC110 - whose thread knows nothing of this loop
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_takes_what_its_original_takes(name: str) -> None:
    original, twin = getattr(TaskQueueService, name), getattr(TaskQueueService, f"a{name}")
    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(twin).parameters == inspect.signature(original).parameters
    assert list(inspect.signature(original).parameters)
    assert twin.__name__ == f"a{name}"
    assert twin.__doc__


def test_they_do_what_their_originals_do(queue: Queue) -> None:
    queue.register_handler("double", lambda payload: 2 * payload["n"])
    queue.register_handler("fail", lambda payload: 1 / 0, max_retries=0)

    async def use_all() -> None:
        task_id = await queue.aenqueue_task("double", {"n": 4}, max_retries=1, tags=["t"], task_id="four")
        assert task_id == "default.=four"
        task = await queue.aget_task_status(task_id)
        assert task is not None
        assert (task.payload, task.tags, task.max_retries) == ({"n": 4}, ("t",), 1)
        with pytest.raises(TimeoutError, match="pending"):
            await queue.aget_result(task_id)
        with pytest.raises(TimeoutError, match=r"not finished after 0.05 seconds"):
            await queue.aget_result(task_id, timeout=0.05)
        never = await queue.aenqueue_task("double", delay_seconds=60)
        assert await queue.acancel_task(never)
        assert not await queue.acancel_task(never)
        with pytest.raises(TaskCancelledError):
            await queue.aget_result(never, timeout=5)
        ids = await queue.aenqueue_many([TaskRequest("double", {"n": n}) for n in range(5)])
        failing = await queue.aenqueue_task("fail")
        waiting = asyncio.ensure_future(queue.aget_result(ids[4], timeout=20))
        await asyncio.to_thread(WorkerService.start_workers, 2)
        assert await waiting == 8
        assert await asyncio.gather(*(queue.aget_result(each, timeout=20) for each in ids)) == [0, 2, 4, 6, 8]
        with pytest.raises(TaskFailedError, match="division by zero"):
            await queue.aget_result(failing, timeout=20)

    asyncio.run(use_all())


def test_they_refuse_what_their_originals_refuse(queue: Queue) -> None:
    async def misuse() -> None:
        with pytest.raises(ValueError, match="delay_seconds -1"):
            await queue.aenqueue_task("x", delay_seconds=-1)
        with pytest.raises(TypeError, match="must be a dict"):
            await queue.aenqueue_task("x", [1])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="unexpected keyword"):
            await queue.aenqueue_task("x", colour="red")  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="timeout -1"):
            await queue.aget_result("default.=x", timeout=-1)
        for unknown in ("nonsense", "default.=never"):
            assert await queue.aget_task_status(unknown) is None
            with pytest.raises(TaskNotFoundError):
                await queue.aget_result(unknown, timeout=None)

    asyncio.run(misuse())


def test_the_callers_context_is_kept(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = contextvars.ContextVar("request_id", default="none")
    seen: list[str] = []
    queue.get_queue_stats()
    real = queue._send

    def spying(*args: Any) -> Any:
        seen.append(request_id.get())
        request_id.set("changed in the thread")
        return real(*args)

    monkeypatch.setattr(queue, "_send", spying)

    async def one(number: int) -> str:
        request_id.set(f"r{number}")
        await queue.aenqueue_task("x")
        return request_id.get()

    async def many() -> list[str]:
        return await asyncio.gather(*(one(n) for n in range(20)))

    assert asyncio.run(many()) == [f"r{n}" for n in range(20)]
    assert sorted(seen) == sorted(f"r{n}" for n in range(20))


def test_thousands_wait_without_a_thread_each(queue: Queue) -> None:
    number = 3000
    ids = queue.enqueue_many([TaskRequest("x", {"n": n}) for n in range(number)])
    queue.register_handler("x", lambda payload: payload["n"])
    threads: list[int] = []

    async def wait_for_all() -> list[Any]:
        waiting = [asyncio.ensure_future(queue.aget_result(each, timeout=60)) for each in ids]
        await until_marked(queue, number)
        threads.append(threading.active_count())
        await asyncio.to_thread(WorkerService.start_workers, 4)
        return await asyncio.gather(*waiting)

    before = threading.active_count()
    assert asyncio.run(wait_for_all()) == list(range(number))
    assert threads[0] - before < 50
    assert queue._open_endings()._waiting == {}


def test_a_loop_that_was_closed_disturbs_nobody(queue: Queue, in_thread: Any, until: Any) -> None:
    task_id = queue.enqueue_task("x")

    async def begin() -> LoopWaiter:
        return LoopWaiter(queue._open_endings(), *task_id.split("."), wants_progress=False)

    with asyncio.run(begin()):
        results: list[Any] = []
        in_thread(lambda: results.append(queue.get_result(task_id, timeout=30)))
        until(lambda: len(queue._open_endings()._waiting["default", task_id.rpartition(".")[2]]) == 2)
        task = queue.get_next_task(timeout=5)
        assert task is not None
        queue.complete_task(task, "for the other")
        until(lambda: results == ["for the other"])


def test_who_awaits_does_not_start_again_what_was_stopped(queue: Queue) -> None:
    async def wait() -> list[BaseException]:
        task_id = await queue.aenqueue_task("never")
        waiting = [asyncio.ensure_future(queue.aget_result(task_id, timeout=30)) for _ in range(5)]
        await until_marked(queue)
        await asyncio.to_thread(singleton_service.stop)
        assert not queue._initialized
        found = await asyncio.gather(*waiting, return_exceptions=True)
        return [error for error in found if isinstance(error, BaseException)]

    assert [type(error) for error in asyncio.run(wait())] == [QueueUnavailableError] * 5


def test_an_event_loop_is_not_held_up_by_the_first_start(queue: Queue) -> None:
    async def first_call() -> float:
        longest, done = 0.0, asyncio.ensure_future(queue.aenqueue_task("x"))
        while not done.done():
            began = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - began)
        task = await queue.aget_task_status(await done)
        assert task is not None
        assert task.status is TaskStatus.PENDING
        return longest

    # Not a measurement: a start in the loop itself would be one turn of hundreds of milliseconds.
    assert not queue._initialized
    asyncio.run(first_call())
    assert queue._initialized


@pytest.fixture(params=[asyncio.run, uvloop.run])
def run(request: pytest.FixtureRequest) -> Any:
    """Two kinds of event loops."""
    return request.param


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no line take a slow server for a silent one."""
    monkeypatch.setattr(loop_line, "PATIENCE_S", 60.0)


async def line_of(queue: Queue) -> LoopLine:
    """Return this loop's own connection once it is there; it comes with the second enqueue."""
    await queue.aenqueue_task("warm-up", task_id="warm-up")
    line = queue._open_lines().line()
    while line._wire is None:
        await queue.aenqueue_task("warm-up", task_id="warm-up")
        await asyncio.sleep(0.01)
    return line


def numbers(queue: Queue, ids: list[str]) -> list[int]:
    tasks = [queue.get_task_status(task_id) for task_id in ids]
    return [task.payload["n"] for task in tasks if task is not None]


@pytest.mark.usefixtures("patient")
def test_coroutines_that_enqueue_at_once_share_commands_and_each_has_its_own_answer(
    queue: Queue, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_MAX_BACKLOG", "150")
    sent = []
    begin = Wire.begin

    def begin_and_note(wire: Wire, commands: Any) -> memoryview:
        sent.append(commands)
        return begin(wire, commands)

    monkeypatch.setattr(Wire, "begin", begin_and_note)

    async def use() -> list[Any]:
        await line_of(queue)
        lines = (
            queue.aenqueue_task("x", {"n": n}, queue="low" if n % 50 == 7 else None, delay_seconds=n % 2)
            for n in range(200)
        )
        return await asyncio.gather(*lines, return_exceptions=True)

    ids = run(use())

    refused = [n for n, answer in enumerate(ids) if isinstance(answer, QueueFullError)]
    assert len(refused) == 200 - 4 - 149, "four have another queue, and one of this was there before"
    accepted = [n for n in range(200) if n not in refused]
    assert numbers(queue, [ids[n] for n in accepted]) == accepted
    assert len(sent) < 20


@pytest.mark.usefixtures("patient")
def test_who_is_cancelled_leaves_its_answer_to_nobody(queue: Queue, run: Any) -> None:
    async def use() -> list[Any]:
        line = await line_of(queue)
        waiting = [asyncio.create_task(queue.aenqueue_task("x", {"n": n}, task_id=f"n{n}")) for n in range(4)]
        while not line._waiting:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[2].cancel()
        ids = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(answer, asyncio.CancelledError) for answer in ids] == [True, False, True, False]
        assert line._wire is not None, "the line is as good as before"
        return [ids[1], ids[3], await queue.aenqueue_task("x", {"n": 4}, task_id="n4")]

    assert run(use()) == ["default.=n1", "default.=n3", "default.=n4"]


def test_what_was_under_way_on_a_line_that_ends_or_falls_silent_goes_another_way_and_in_once(
    queue: Queue, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use() -> list[str]:
        line = await line_of(queue)
        wire = line._wire
        assert wire is not None
        ids = []
        wire._socket.shutdown(socket.SHUT_RDWR)
        ids += await asyncio.gather(*(queue.aenqueue_task("x", {"n": n}) for n in range(5)))
        line = await line_of(queue)
        assert line._wire is not wire
        with monkeypatch.context() as patched:
            # It arrives, but no answer ever comes.
            patched.setattr(line, "_read", lambda: None)
            patched.setattr(Wire, "begin", lambda _wire, _commands: memoryview(b""))
            ids += await asyncio.gather(*(queue.aenqueue_task("x", {"n": n}) for n in range(5, 10)))
        return ids

    assert numbers(queue, run(use())) == list(range(10))
    assert queue.get_queue_stats()["tasks_queued"] == 11


@pytest.mark.usefixtures("patient")
def test_what_a_line_is_refused_goes_another_way_and_the_line_stays(queue: Queue, run: Any) -> None:
    async def use() -> list[str]:
        line = await line_of(queue)
        wire = line._wire
        queue._open_client().link.call(b"SCRIPT", b"FLUSH")
        ids = await asyncio.gather(*(queue.aenqueue_task("x", {"n": n}) for n in range(5)))
        assert line._wire is wire
        # What it was refused for is over.
        answer = await line.enqueue(queue._prepare(TaskRequest("x", {"n": 5})))
        assert answer is not None
        return ids

    assert numbers(queue, run(use())) == list(range(5))
    assert queue.get_queue_stats()["tasks_queued"] == 7


def test_an_answer_that_is_there_counts_however_late_its_loop_is(queue: Queue, run: Any) -> None:
    async def use() -> str:
        line = await line_of(queue)
        assert line._wire is not None
        enqueueing = asyncio.create_task(queue.aenqueue_task("x", task_id="late"))
        while not line._flight:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        # This thread gets no turn before the time is over, and the timer comes first.
        assert line._wire.has_bytes(15)
        line._sent_at -= 60
        line._watch()
        assert line._wire is not None
        return await enqueueing

    assert run(use()) == "default.=late"


@pytest.mark.usefixtures("patient")
def test_what_the_socket_does_not_hold_is_sent_when_it_does(queue: Queue, run: Any) -> None:
    async def use() -> list[str]:
        line = await line_of(queue)
        line._wire._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # type: ignore[union-attr]
        payloads = [{"n": n, "text": "x" * 900_000} for n in range(6)]
        ids = await asyncio.gather(*(queue.aenqueue_task("x", payload) for payload in payloads))
        assert line._wire is not None
        return ids

    assert numbers(queue, run(use())) == list(range(6))


def test_a_line_is_its_loops_own_and_ends_with_the_service(queue: Queue, in_thread: Any) -> None:
    lines: set[LoopLine] = set()

    async def use() -> None:
        line = await line_of(queue)
        lines.add(line)

    for _ in range(2):
        asyncio.run(use())
    threads = [in_thread(lambda: uvloop.run(use())) for _ in range(2)]
    for thread in threads:
        thread.join()
    assert len(lines) == 4

    async def stop_meanwhile() -> None:
        line = await line_of(queue)
        await asyncio.to_thread(singleton_service.stop)
        await asyncio.sleep(0)
        assert line._wire is None
        await queue.aenqueue_task("x")

    asyncio.run(stop_meanwhile())
