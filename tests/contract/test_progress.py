"""What one sees of a task while it runs, on every engine."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from singleton_service.background.task_queue import Progress, Task, TaskHandle, TaskQueueService
from singleton_service.background.worker import WorkerService

Queue = type[TaskQueueService]


def take(queue: Queue) -> Task:
    task = queue.get_next_task(timeout=5)
    assert task is not None
    return task


def percent(queue: Queue, task_id: str) -> float | None:
    progress = queue.get_progress(task_id)
    return progress.percent if progress else None


@pytest.fixture
def gate() -> Any:
    """Holds handlers until the test lets them go on, which it does at its end at the latest."""
    event = threading.Event()
    yield event
    event.set()


def test_progress_is_seen_from_anywhere_at_once(queue: Queue) -> None:
    task_id = queue.enqueue_task("x")
    assert queue.get_progress(task_id) is None
    task = take(queue)
    assert queue.update_progress(12.5, "one of eight", task)
    progress = queue.get_progress(task_id)
    assert isinstance(progress, Progress)
    assert (progress.percent, progress.message) == (12.5, "one of eight")
    assert progress.updated_at.utcoffset() is not None
    read = queue.get_task_status(task_id)
    assert read is not None
    assert read.progress == progress == TaskHandle(task_id).progress
    assert queue.complete_task(task)
    assert queue.get_progress(task_id) is None


def test_unknown_tasks_have_no_progress(queue: Queue) -> None:
    assert queue.get_progress("nonsense") is None
    assert queue.get_progress("default.=never") is None
    assert queue.update_progress(1, task_id="default.=never") is False


def test_a_handler_reports_without_naming_its_task(queue: Queue, gate: threading.Event, until: Any) -> None:
    def work(payload: dict[str, Any]) -> None:
        assert queue.update_progress(payload["n"], "at it")
        assert gate.wait(20)

    async def work_too(payload: dict[str, Any]) -> None:
        assert queue.update_progress(payload["n"])
        await asyncio.to_thread(gate.wait, 20)

    async def work_in_thread(payload: dict[str, Any]) -> None:
        await asyncio.to_thread(work, payload)

    for handler in (work, work_too, work_in_thread):
        queue.register_handler(handler.__name__, handler)
    WorkerService.start_workers(6)
    ids = {n: queue.enqueue_task(name, {"n": n}) for n, name in enumerate(["work", "work_too", "work_in_thread"] * 2)}
    for n, task_id in ids.items():
        until(lambda n=n, task_id=task_id: percent(queue, task_id) == n)
    gate.set()
    for task_id in ids.values():
        assert queue.get_result(task_id, timeout=10) is None


def test_a_handler_may_name_its_task(queue: Queue, until: Any) -> None:
    answers: list[bool] = []
    queue_id: list[str] = []
    queue.register_handler("x", lambda payload: answers.append(queue.update_progress(1, "", queue_id[0])))
    queue_id.append(queue.enqueue_task("x"))
    WorkerService.start_workers(1)
    queue.get_result(queue_id[0], timeout=10)
    assert answers == [True]


def test_outside_a_handler_the_error_says_what_to_do(queue: Queue) -> None:
    queue.register_handler("x", print)
    WorkerService.start_workers(1)
    queue.get_result(queue.enqueue_task("x"), timeout=10)
    with pytest.raises(ValueError, match=r"in a handler.*get_next_task"):
        queue.update_progress(5)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((-1,), ValueError, "-1"),
        ((100.5,), ValueError, "0 to 100"),
        ((float("nan"),), ValueError, "nan"),
        (("half",), TypeError, "number"),
        ((True,), TypeError, "number"),
        ((5, None), TypeError, "string"),
    ],
)
def test_what_is_no_progress_is_refused(
    queue: Queue, arguments: tuple[Any, ...], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        queue.update_progress(*arguments)


def test_a_long_message_is_cut(queue: Queue) -> None:
    queue.enqueue_task("x")
    task = take(queue)
    assert queue.update_progress(100, "é" * 501, task)
    progress = queue.get_progress(task.id)
    assert progress is not None
    assert progress.message == "é" * 499 + "…"


def test_a_worker_that_was_given_up_changes_nothing(queue: Queue) -> None:
    queue.enqueue_task("x")
    task = take(queue)
    assert task._lease is not None
    client = queue._open_client()
    client.link.run([client.protocol("default").release([task._lease])])
    assert queue.update_progress(50, "late", task) is False
    assert queue.get_progress(task.id) is None
    again = take(queue)
    assert queue.update_progress(10, "mine", again)
    assert queue.update_progress(99, "late", task) is False
    assert percent(queue, task.id) == 10


def test_ten_thousand_reports_in_a_loop_are_a_handful_of_writes(queue: Queue) -> None:
    queue.enqueue_task("x", max_retries=1)
    task = take(queue)
    sent: list[bytes] = []
    book = queue._open_reports()
    real = book._send

    def counting(link: Any, accounts: Any) -> None:
        sent.extend(account.note[0] for _, account in accounts if account.note)
        real(link, accounts)

    book._send = counting  # type: ignore[method-assign]
    reports = 10_000
    for n in range(reports):
        assert queue.update_progress(100 * n / reports, f"{n} of {reports}", task)
    assert queue.update_progress(100, "all of them", task)
    # Not how long it took, but how often it was sent: ten a second, and the loop takes far less than ten seconds.
    assert len(sent) < 150
    assert queue.fail_task(task, "the last report comes before the end")
    assert percent(queue, task.id) == 100
    assert sent[-1] == b"100.0"


def test_a_coroutines_reports_arrive_before_its_end(queue: Queue, until: Any) -> None:
    async def work(payload: dict[str, Any]) -> None:
        for n in range(1000):
            queue.update_progress(n / 10)
        queue.update_progress(100, "done")
        raise RuntimeError("and yet it fails")

    queue.register_handler("x", work, max_retries=1, retry_delay_seconds=60)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("x")
    until(lambda: queue.get_queue_stats()["delayed_tasks"] == 1)
    assert percent(queue, task_id) == 100


def test_reports_of_many_tasks_are_sent_together(queue: Queue, until: Any) -> None:
    for _ in range(50):
        queue.enqueue_task("x")
    tasks = [take(queue) for _ in range(50)]

    async def report_all() -> list[bool]:
        return [queue.update_progress(n, task_id=task) for n, task in enumerate(tasks)]

    assert all(asyncio.run(report_all()))
    for n, task in enumerate(tasks):
        until(lambda n=n, task=task: percent(queue, task.id) == n)


def test_what_runs_is_listed_over_all_queues(queue: Queue) -> None:
    assert queue.get_active_tasks() == []
    queue.enqueue_task("a", queue="low")
    queue.enqueue_task("b", queue="critical")
    queue.enqueue_task("c")
    queue.enqueue_task("waits", delay_seconds=60)
    taken = [take(queue) for _ in range(3)]
    queue.update_progress(30, task_id=taken[1])
    active = queue.get_active_tasks()
    assert [task.name for task in active] == ["b", "c", "a"]
    assert [task.progress.percent if task.progress else None for task in active] == [None, 30, None]
    queue.complete_task(taken[0])
    assert [task.name for task in queue.get_active_tasks()] == ["c", "a"]
