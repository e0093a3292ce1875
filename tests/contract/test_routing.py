"""Threads and coroutines side by side: each task where it belongs, and none held up by those of another kind."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus
from singleton_service.background.task_queue.protocol import Protocol
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Queue = type[TaskQueueService]
PATIENCE_S = 30.0


class Gate:
    """What handlers wait for."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.order: list[int] = []

    def wait(self, payload: dict[str, Any]) -> int:
        self.is_open.wait(PATIENCE_S)
        self.order.append(payload["n"])
        return int(payload["n"])


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.is_open.set()


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks each fetch asked for."""
    asked: list[int] = []
    fetch = Protocol.fetch

    def counting(self: Protocol, max_count: int, *args: Any, **kwargs: Any) -> Any:
        asked.append(max_count)
        return fetch(self, max_count, *args, **kwargs)

    monkeypatch.setattr(Protocol, "fetch", counting)
    return asked


async def quick(payload: dict[str, Any]) -> str:
    return threading.current_thread().name


def where(payload: dict[str, Any]) -> str:
    return threading.current_thread().name


def plainly(payload: dict[str, Any]) -> Any:
    return quick(payload)


def many(name: str, number: int) -> list[TaskRequest]:
    return [TaskRequest(name, {"n": n}) for n in range(number)]


def ready_lists(queue: Queue) -> list[bytes]:
    key = queue._open_client().protocol("default").keys.key
    return [key(f"ready:{priority}") for priority in range(4)]


def running(kind: str) -> int:
    return int(WorkerService.get_worker_stats()["running_tasks"][kind])


def test_each_runs_where_it_belongs(queue: Queue) -> None:
    queue.register_handler("plain", where)
    queue.register_handler("coroutine", quick)
    queue.register_handler("made", plainly, execution="async")
    queue.register_handler("returned", plainly)
    WorkerService.start_workers(1)
    names = ("plain", "coroutine", "made", "returned")
    found = [queue.get_result(queue.enqueue_task(name), timeout=PATIENCE_S) for name in names]
    assert found == ["worker-1", "worker-asyncio", "worker-asyncio", "worker-asyncio"]


def test_no_thread_waits_for_coroutines(queue: Queue, until: Callable[..., Any]) -> None:
    async def meet(payload: dict[str, Any]) -> int:
        here.append(payload["n"])
        if len(here) == 60:
            all_are_here.set()
        await all_are_here.wait()
        return len(here)

    here: list[int] = []
    all_are_here = asyncio.Event()
    queue.register_handler("meet", meet)
    WorkerService.start_workers(1)
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in queue.enqueue_many(many("meet", 60))] == [60] * 60


def test_no_more_coroutines_run_at_once_than_may(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    async def count(payload: dict[str, Any]) -> int:
        here.add(payload["n"])
        seen = len(here)
        await asyncio.sleep(0.005)
        here.discard(payload["n"])
        return seen

    here: set[int] = set()
    monkeypatch.setenv("TASKS_ASYNC_CONCURRENCY", "3")
    queue.register_handler("count", count)
    ids = queue.enqueue_many(many("count", 50))
    WorkerService.run_until_empty(1)
    assert max(queue.get_result(each) for each in ids) == 3


@pytest.mark.parametrize("queued", [20, 400])
def test_busy_threads_hold_up_no_coroutine_behind_them(
    queue: Queue, gate: Gate, fetches: list[int], until: Callable[..., Any], queued: int
) -> None:
    queue.register_handler("wait", gate.wait)
    queue.register_handler("quick", quick)
    ids = queue.enqueue_many(many("wait", queued))
    behind = queue.enqueue_many(many("quick", 50))
    WorkerService.start_workers(2)
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in behind] == ["worker-asyncio"] * 50
    assert running("thread") == 2
    # Whoever else is idle finds the rest, in its order and uncounted.
    other = until(lambda: queue.get_next_task(timeout=1))
    assert other.name == "wait"
    assert other.payload["n"] < 10
    assert queue.complete_task(other, "elsewhere")
    gate.is_open.set()
    found = [queue.get_result(each, timeout=PATIENCE_S) for each in ids]
    assert found == ["elsewhere" if n == other.payload["n"] else n for n in range(queued)]
    for each in ids[:3]:
        task = queue.get_task_status(each)
        assert task is not None
        assert (task.retry_count, task.errors) == (0, ())


def test_what_finds_no_place_is_not_fetched_all_the_time(
    queue: Queue, gate: Gate, fetches: list[int], until: Callable[..., Any]
) -> None:
    queue.register_handler("wait", gate.wait)
    queue.register_handler("quick", quick)
    ids = queue.enqueue_many(many("wait", 2000))
    WorkerService.start_workers(2)
    until(lambda: running("thread") == 2)
    until(lambda: not queue._open_client().link.call(b"EXISTS", *ready_lists(queue)))
    # From then on there are looks with the heartbeats, and for what comes.
    before, began_s = len(fetches), time.monotonic()
    until(lambda: time.monotonic() - began_s > 1)
    assert len(fetches) - before <= 6
    assert queue.get_queue_stats()["pending_tasks"] == 1998
    assert queue.cancel_pending() == 1998
    gate.is_open.set()
    assert queue.get_result(ids[1], timeout=PATIENCE_S) == 1


@pytest.mark.parametrize("queued", [3000, 40])
def test_any_number_of_a_busy_kind_is_looked_past(
    queue: Queue, gate: Gate, until: Callable[..., Any], queued: int
) -> None:
    for name in ("wait", "wait_too"):
        queue.register_handler(name, gate.wait)
    queue.register_handler("quick", quick)
    ids = queue.enqueue_many(TaskRequest(("wait", "wait_too")[n % 3 == 0], {"n": n}) for n in range(queued))
    behind = queue.enqueue_task("quick")
    WorkerService.start_workers(1)
    assert queue.get_result(behind, timeout=PATIENCE_S) == "worker-asyncio"
    # What was passed over keeps its order, goes before what comes later, and counts as pending.
    last = queue.enqueue_task("wait", {"n": queued})
    assert queue.get_queue_stats()["pending_tasks"] == queued
    assert queue.get_result(queue.enqueue_task("quick"), timeout=PATIENCE_S) == "worker-asyncio"
    gate.is_open.set()
    assert queue.get_result(last, timeout=PATIENCE_S) == queued
    assert gate.order == list(range(queued + 1))
    assert queue.get_result(ids[queued // 2], timeout=PATIENCE_S) == queued // 2


def test_busy_coroutines_hold_up_no_thread_behind_them(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    async def doze(payload: dict[str, Any]) -> None:
        await asyncio.sleep(PATIENCE_S)

    monkeypatch.setenv("TASKS_ASYNC_CONCURRENCY", "2")
    queue.register_handler("doze", doze)
    queue.register_handler("where", where)
    dozing = queue.enqueue_many(many("doze", 100))
    ids = queue.enqueue_many(many("where", 20))
    WorkerService.start_workers(2)
    assert {queue.get_result(each, timeout=PATIENCE_S)[:7] for each in ids} == {"worker-"}
    assert running("async") == 2
    assert WorkerService.stop_workers(timeout=0) == 2
    counts = queue.get_queue_stats()
    assert (counts["pending_tasks"], counts["running_tasks"]) == (100, 0)
    assert queue.get_task_status(dozing[0]).retry_count == 0  # type: ignore[union-attr]
    assert queue.cancel_pending() == 100


def test_a_full_queue_of_one_kind_holds_up_no_other_queue(queue: Queue, gate: Gate, until: Callable[..., Any]) -> None:
    queue.register_handler("wait", gate.wait)
    queue.register_handler("quick", quick)
    queue.enqueue_many(TaskRequest("wait", {"n": n}, queue="critical") for n in range(1500))
    WorkerService.start_workers(1)
    behind = queue.enqueue_task("quick", queue="low")
    assert queue.get_result(behind, timeout=PATIENCE_S) == "worker-asyncio"
    later = queue.enqueue_task("quick")
    assert queue.get_result(later, timeout=PATIENCE_S) == "worker-asyncio"
    until(lambda: queue.cancel_pending(queue="critical") == 0)


def test_a_mixed_queue_is_drained(queue: Queue) -> None:
    queue.register_handler("where", where)
    queue.register_handler("quick", quick)
    mixed = [TaskRequest(("where", "quick")[n % 3 == 0]) for n in range(3000)]
    ids = queue.enqueue_many(mixed)
    assert WorkerService.run_until_empty(4) == 0
    found = [queue.get_result(each) for each in ids]
    assert [name == "worker-asyncio" for name in found] == [n % 3 == 0 for n in range(3000)]
    assert WorkerService.get_worker_stats()["tasks_processed"] == 3000
    assert queue.get_task_status(ids[7]).status is TaskStatus.COMPLETED  # type: ignore[union-attr]


def test_a_suspect_of_a_busy_kind_holds_up_no_other_kind(queue: Queue, gate: Gate, until: Callable[..., Any]) -> None:
    queue.register_handler("wait", gate.wait)
    queue.register_handler("where", where)
    queue.register_handler("quick", quick)
    queue.enqueue_many(many("wait", 2))
    WorkerService.start_workers(2)
    client = queue._open_client()
    key = client.protocol("default").keys.key
    until(lambda: running("thread") == 2)
    # It went down with its worker twice.
    suspect = b"1103|where\n{}"
    client.link.run(
        [
            (b"HSET", key("body"), b"=suspect", suspect),
            (b"HSET", key("attempts"), b"=suspect", b"0|2|1"),
            (b"RPUSH", key("suspects"), b"=suspect"),
        ]
    )
    behind = queue.enqueue_many(many("quick", 50))
    assert [queue.get_result(each, timeout=PATIENCE_S) for each in behind] == ["worker-asyncio"] * 50
    task = queue.get_task_status("default.=suspect")
    assert task is not None
    assert task.status is TaskStatus.PENDING
    gate.is_open.set()
    assert queue.get_result("default.=suspect", timeout=PATIENCE_S).startswith("worker-")
