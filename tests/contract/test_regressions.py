"""Faults that were found once, each with the case that shows it, on every engine."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import singleton_service
from singleton_service.background.task_queue import (
    QueueUnavailableError,
    TaskFailedError,
    TaskQueueService,
    TaskRequest,
)
from singleton_service.background.worker import WorkerService

Queue = type[TaskQueueService]


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt()])
def test_the_loop_of_coroutine_handlers_outlives_what_they_raise(queue: Queue, raised: BaseException) -> None:
    """An exit raised by one coroutine ended the loop, and every later one failed."""

    async def leave(payload: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        raise raised

    async def stay(payload: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        return "still here"

    queue.register_handler("leave", leave, max_retries=0)
    queue.register_handler("stay", stay, max_retries=0)
    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError):
        queue.get_result(queue.enqueue_task("leave"), timeout=10)
    assert queue.get_result(queue.enqueue_task("stay"), timeout=10) == "still here"


def test_a_handler_that_returns_a_coroutine_after_the_stop_leaves_no_loop_behind(queue: Queue, until: Any) -> None:
    """Its thread started a second loop that nobody would have ended."""
    began, release = threading.Event(), threading.Event()

    async def rest() -> None:
        await asyncio.sleep(0)

    def late(payload: dict[str, Any]) -> Any:
        began.set()
        release.wait(30)
        return rest()

    queue.register_handler("late", late)
    WorkerService.start_workers(1)
    queue.enqueue_task("late")
    assert began.wait(10)
    assert WorkerService.stop_workers(timeout=0) == 1
    release.set()
    until(lambda: WorkerService.get_worker_stats()["active_workers"] == 0)
    assert "worker-asyncio" not in {thread.name for thread in threading.enumerate()}


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this error can't be shown")


class Slippery(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("dictionary changed size during iteration")


def raise_unspeakable(payload: dict[str, Any]) -> None:
    raise UnspeakableError


@pytest.mark.parametrize(
    ("handler", "says"),
    [(raise_unspeakable, "can't be shown"), (lambda payload: Slippery(a=1), "changed size")],
)
def test_nothing_a_handler_returns_or_raises_costs_the_worker_a_thread(queue: Queue, handler: Any, says: str) -> None:
    """The thread ended, and its task was running for ever."""
    queue.register_handler("odd", handler, max_retries=0)
    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError, match=says):
        queue.get_result(queue.enqueue_task("odd"), timeout=10)
    assert WorkerService.get_worker_stats()["active_workers"] == 1


def test_a_task_that_cannot_be_read_fails_and_costs_the_worker_no_thread(queue: Queue, until: Any) -> None:
    queue.get_queue_stats()
    client = queue._open_client()
    too_deep = b"1103|x\n" + b'{"a":' * 200_000 + b"0" + b"}" * 200_000
    client.persist("default", client.protocol("default").enqueue([("=deep", b"0", too_deep)]))
    queue.register_handler("x", print)
    WorkerService.start_workers(1)
    until(lambda: queue.get_queue_stats()["failed_tasks"] == 1)
    assert WorkerService.get_worker_stats()["active_workers"] == 1


def test_a_suspect_that_waited_behind_a_long_task_does_not_stop_the_worker(queue: Queue, until: Any) -> None:
    """It was handed back, but the worker went on as if it ran here, and took nothing any more."""
    release = threading.Event()
    queue.register_handler("quick", lambda payload: None)
    queue.register_handler("slow", lambda payload: release.wait(30))
    WorkerService.start_workers(1)
    queue.enqueue_many([TaskRequest("quick") for _ in range(50)])
    until(lambda: queue.get_queue_stats()["tasks_processed"] == 50)
    queue.enqueue_task("slow")
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 1)
    client = queue._open_client()
    key = client.protocol("default").keys.key
    suspect = b"1103|quick\n{}"
    client.link.run(
        [
            (b"HSET", key("body"), b"=suspect", suspect),
            (b"HSET", key("attempts"), b"=suspect", b"0|2|1"),
            (b"RPUSH", key("suspects"), b"=suspect"),
            (b"RPUSH", key("wake"), b"1"),
        ]
    )
    until(lambda: queue.get_queue_stats()["running_tasks"] == 2)
    until(lambda: queue.get_queue_stats()["running_tasks"] == 1)
    release.set()
    assert queue.get_result("default.=suspect", timeout=10) is None
    assert queue.get_result(queue.enqueue_task("quick"), timeout=10) is None


def test_a_fetch_that_hangs_ends_no_lease(queue: Queue, until: Any) -> None:
    """The heartbeat waited for it, to compare what it holds with what the server counts, and did not beat."""
    queue.enqueue_task("x")
    queue.enqueue_task("x")
    assert queue.get_next_task(timeout=5) is not None
    client, leases = queue._open_client(), queue._open_leases()
    protocol = client.protocol("default")
    with leases.fetching("default"):
        # Its answer is on its way, for longer than a lease.
        client.link.run([protocol.fetch(1, 1)])
        ends_ms = float(client.link.call(b"ZSCORE", protocol.keys.key("workers"), client.worker_id))

        def has_beaten_on() -> bool:
            now_ms = float(client.link.call(b"ZSCORE", protocol.keys.key("workers"), client.worker_id))
            return now_ms > ends_ms + 4000

        until(has_beaten_on)
    until(lambda: queue.get_queue_stats()["running_tasks"] == 1)


def test_a_loop_of_ones_own_beats_no_faster_than_a_worker(queue: Queue) -> None:
    """Every get_next_task had the heartbeat beat at once."""
    queue.get_next_task(timeout=0)
    beats: list[str] = []
    queue._open_heartbeat().listen(lambda beaten, beat: beats.append(beaten))
    for _ in range(200):
        queue.get_next_task(timeout=0)
    assert len(beats) < 100


def test_what_is_held_at_a_stop_goes_back_as_if_it_had_not_run(queue: Queue) -> None:
    """It was left to be recovered, with a crash counted; after three such stops it was given up."""
    queue.enqueue_task("x")
    for _ in range(4):
        task = queue.get_next_task(timeout=5)
        assert task is not None
        singleton_service.stop()
        assert queue.get_queue_stats()["pending_tasks"] == 1
        assert queue.complete_task(task) is False


@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_may_stop_the_workers(queue: Queue, until: Any, *, is_async: bool) -> None:
    """It waited for itself, was handed back to run again, and left workers that counted as running."""
    answers: list[int] = []

    def stop(payload: dict[str, Any]) -> str:
        answers.append(WorkerService.stop_workers())
        return "stopped"

    async def stop_too(payload: dict[str, Any]) -> str:
        return await asyncio.to_thread(stop, payload)

    queue.register_handler("stop", stop_too if is_async else stop)
    WorkerService.start_workers(2)
    task_id = queue.enqueue_task("stop")
    assert queue.get_result(task_id, timeout=10) == "stopped"
    assert answers == [0]
    until(lambda: not WorkerService.get_worker_stats()["is_running"])
    WorkerService.start_workers(1)
    assert WorkerService.get_worker_stats()["active_workers"] == 1


def test_a_start_waits_for_the_stop_under_way(queue: Queue, until: Any) -> None:
    """It found workers and changed nothing; then they were gone."""
    began, release = threading.Event(), threading.Event()

    def slow(payload: dict[str, Any]) -> None:
        began.set()
        release.wait(30)

    queue.register_handler("slow", slow)
    queue.register_handler("x", lambda payload: "x")
    WorkerService.start_workers(1)
    queue.enqueue_task("slow")
    assert began.wait(10)
    stopping = threading.Thread(target=WorkerService.stop_workers)
    stopping.start()
    until(lambda: WorkerService._crew is not None and WorkerService._crew.is_stopping)
    starting = threading.Thread(target=WorkerService.start_workers, args=(1,))
    starting.start()
    release.set()
    stopping.join(20)
    starting.join(20)
    assert queue.get_result(queue.enqueue_task("x"), timeout=10) == "x"


def test_a_start_that_gets_no_threads_leaves_nothing_running(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Any
) -> None:
    """Half a crew counted as running, and could not be stopped."""
    queue.register_handler("x", lambda payload: "x")
    queue.get_queue_stats()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "worker-3":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        WorkerService.start_workers(4)
    assert WorkerService.get_worker_stats()["is_running"] is False
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("worker-")])
    WorkerService.start_workers(2)
    assert queue.get_result(queue.enqueue_task("x"), timeout=10) == "x"


def test_one_string_is_not_taken_for_queues_of_one_letter(queue: Queue) -> None:
    task_id = queue.enqueue_task("x")
    queue.enqueue_task("x", queue="d")
    task = queue.get_next_task(timeout=0, queues="default")
    assert task is not None
    assert task.id == task_id
    with pytest.raises(TypeError, match="request number 0 of enqueue_many"):
        queue.enqueue_many([("x", {})])  # type: ignore[list-item]


def test_ids_of_queues_that_never_were_fill_no_memory(queue: Queue) -> None:
    for n in range(2000):
        assert queue.get_task_status(f"q{n}.101m80r8t69hyr3yssr1x") is None
    assert len(queue._open_client()._protocols) <= 1000


def test_a_waiter_does_not_start_again_what_was_stopped(queue: Queue, until: Any) -> None:
    failures: list[BaseException] = []
    task_id = queue.enqueue_task("never")

    def wait() -> None:
        try:
            queue.get_result(task_id, timeout=30)
        except BaseException as error:
            failures.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: queue._open_endings()._waiting)
    singleton_service.stop()
    waiter.join(10)
    assert not queue._initialized
    assert [type(error) for error in failures] == [QueueUnavailableError]


def test_a_loop_of_ones_own_is_not_given_what_it_cannot_read(queue: Queue) -> None:
    queue.get_queue_stats()
    client = queue._open_client()
    client.persist("default", client.protocol("default").enqueue([("=new", b"0", b"910 of the future")]))
    mine = queue.enqueue_task("x")
    task = queue.get_next_task(timeout=5)
    assert task is not None
    assert task.id == mine
    held = queue.get_task_status("default.=new")
    assert held is not None
    assert held.held_reason is not None
    assert "newer version" in held.held_reason


def test_large_tasks_are_fetched_in_portions(queue: Queue, until: Any) -> None:
    """A worker that had seen quick tasks fetched 500 large ones at once, and nobody else had an answer meanwhile."""
    queue.enqueue_many([TaskRequest("large", {"blob": "x" * 1_000_000, "n": n}) for n in range(40)])
    client = queue._open_client()
    protocol = client.protocol("default")
    fetched = protocol.fetched(client.link.run([protocol.fetch(40, 0)])[0])
    assert 1 <= len(fetched.leases) <= 12
    client.link.run([protocol.release(fetched.leases)])
    seen: list[int] = []
    queue.register_handler("large", lambda payload: seen.append(payload["n"]))
    WorkerService.start_workers(8)
    until(lambda: len(seen) == 40)
    until(lambda: queue.get_queue_stats()["tasks_processed"] == 40)
    assert sorted(seen) == list(range(40))


def test_of_tasks_that_took_two_processes_down_a_process_gets_one_and_nothing_beside_it(
    queue: Queue, in_thread: Any
) -> None:
    ids = [queue.enqueue_task("x", task_id=f"suspect-{n}") for n in range(2)]
    client = queue._open_client()
    key = client.protocol("default").keys.key
    for task_id in ids:
        uid = task_id.partition(".")[2].encode()
        client.link.run(
            [
                (b"LREM", key("ready:1"), 0, uid),
                (b"HSET", key("attempts"), uid, b"0|2|1"),
                (b"RPUSH", key("suspects"), uid),
            ]
        )
    innocent = queue.enqueue_task("x")
    first = queue.get_next_task(timeout=5)
    assert first is not None
    assert first.id == ids[0]
    assert queue.get_next_task(timeout=0.05) is None

    taken: list[str] = []

    def take() -> None:
        task = queue.get_next_task(timeout=20)
        assert task is not None
        taken.append(task.id)
        assert queue.complete_task(task)

    threads = [in_thread(take) for _ in range(2)]
    assert queue.get_queue_stats()["running_tasks"] == 1
    assert queue.complete_task(first)
    for thread in threads:
        thread.join(20)
    assert sorted(taken) == sorted([ids[1], innocent])
