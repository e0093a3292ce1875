"""Following a task to its end, in threads and in event loops, on every engine."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

import singleton_service
from singleton_service.background.task_queue import (
    QueueUnavailableError,
    Task,
    TaskHandle,
    TaskNotFoundError,
    TaskQueueService,
    TaskStatus,
    results,
)
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]
Seen = list[tuple[str, float | None]]


def take(queue: Queue) -> Task:
    task = queue.get_next_task(timeout=5)
    assert task is not None
    return task


def shown(task: Task) -> tuple[str, float | None]:
    return task.status.value, task.progress.percent if task.progress else None


def follow_in_thread(task_id: str, see: Callable[[Task], None], timeout: float | None = 30) -> None:
    for task in TaskHandle(task_id).updates(timeout):
        see(task)


def follow_in_loop(task_id: str, see: Callable[[Task], None], timeout: float | None = 30) -> None:
    async def follow() -> None:
        async for task in TaskHandle(task_id).updates(timeout):
            see(task)

    asyncio.run(follow())


both = pytest.mark.parametrize("follow", [follow_in_thread, follow_in_loop])


async def until_marked(queue: Queue, number: int = 1) -> None:
    while len(queue._open_endings()._marked) < number:  # noqa: ASYNC110 - whose thread knows nothing of this loop
        await asyncio.sleep(0.01)


def marks(queue: Queue) -> int:
    client = queue._open_client()
    return int(client.link.call(b"HLEN", client.protocol("default").keys.key("waiters")))


@both
def test_progress_and_end_are_seen_as_they_come(queue: Queue, follow: Any, in_thread: Any, until: Any) -> None:
    task_id = queue.enqueue_task("x")
    seen: list[Task] = []
    following = in_thread(lambda: follow(task_id, seen.append))
    until(lambda: seen)
    assert [shown(task) for task in seen] == [("pending", None)]
    until(lambda: marks(queue) == 1)
    task = take(queue)
    for percent in (25, 50):
        assert queue.update_progress(percent, "at it", task)
        until(lambda percent=percent: shown(seen[-1]) == ("running", percent))
        until(lambda: seen[-1].worker_id)
    assert queue.complete_task(task, "done")
    following.join(10)
    assert not following.is_alive()
    assert shown(seen[-1]) == ("completed", None)
    assert seen[-1].result == "done"
    percents = [task.progress.percent for task in seen if task.progress]
    assert percents == sorted(percents)


@both
def test_the_last_report_is_seen_before_the_end(queue: Queue, follow: Any, in_thread: Any, until: Any) -> None:
    began = threading.Event()

    def work(payload: dict[str, Any]) -> str:
        queue.update_progress(0)
        began.wait(20)
        for n in range(10_000):
            queue.update_progress(n / 100)
        queue.update_progress(100, "all of it")
        return "done"

    queue.register_handler("x", work)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("x")
    seen: list[Task] = []
    following = in_thread(lambda: follow(task_id, seen.append))
    until(lambda: seen and marks(queue) == 1)
    began.set()
    following.join(20)
    assert [shown(task) for task in seen[-2:]] == [("running", 100), ("completed", None)]


@both
@pytest.mark.parametrize("ending", ["completed", "failed", "cancelled"])
def test_what_has_ended_is_seen_once(queue: Queue, follow: Any, ending: str) -> None:
    task_id = queue.enqueue_task("x")
    if ending == "cancelled":
        queue.cancel_task(task_id)
    elif ending == "failed":
        queue.fail_task(take(queue), "no", retry=False)
    else:
        queue.complete_task(take(queue))
    seen: Seen = []
    follow(task_id, lambda task: seen.append(shown(task)))
    assert seen == [(ending, None)]


@both
def test_the_timeout_bounds_it_and_is_told(queue: Queue, follow: Any) -> None:
    task_id = queue.enqueue_task("x")
    seen: Seen = []
    with pytest.raises(TimeoutError, match="pending"):
        follow(task_id, lambda task: seen.append(shown(task)), 0.2)
    assert seen == [("pending", None)]
    for unknown in ("default.=never", "nonsense"):
        with pytest.raises(TaskNotFoundError):
            follow(unknown, print)
    with pytest.raises(ValueError, match="timeout"):
        TaskHandle(task_id).updates(-1)


def test_who_leaves_early_leaves_nothing_behind(queue: Queue, in_thread: Any, until: Any) -> None:
    task_id = queue.enqueue_task("x")
    task = take(queue)
    endings = queue._open_endings()

    leavers = [lambda: leave_thread(task_id), lambda: asyncio.run(leave_loop(task_id))]
    asyncio.run(be_cancelled(queue, task_id))
    until(lambda: marks(queue) == 0)
    for percent, leave in enumerate(leavers, 1):
        leaving = in_thread(leave)
        until(lambda: marks(queue) == 1)
        queue.update_progress(percent, task_id=task)
        leaving.join(10)
        assert not leaving.is_alive()
        assert endings._waiting == {}
        until(lambda: marks(queue) == 0)
    until(lambda: endings._marked == {})


def leave_thread(task_id: str) -> None:
    for number, _ in enumerate(TaskHandle(task_id).updates(30)):
        if number:
            break


async def leave_loop(task_id: str) -> None:
    async with aclosing(aiter(TaskHandle(task_id).updates(30))) as updates:
        number = 0
        async for _ in updates:
            if number:
                break
            number += 1


async def be_cancelled(queue: Queue, task_id: str) -> None:
    waiting = [asyncio.ensure_future(queue.aget_result(task_id, timeout=30)) for _ in range(3)]
    await until_marked(queue)
    for each in waiting:
        each.cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in found] == [asyncio.CancelledError] * 3


def test_an_abandoned_async_for_cleans_up_after_itself(queue: Queue, until: Any) -> None:
    task_id = queue.enqueue_task("x")

    async def abandon() -> None:
        async for _ in TaskHandle(task_id).updates(30):
            break

    asyncio.run(abandon())
    assert queue._open_endings()._waiting == {}


def test_several_follow_one_task_and_one_who_leaves_takes_no_others_mark(
    queue: Queue, in_thread: Any, until: Any
) -> None:
    task_id = queue.enqueue_task("x")
    seen: list[Seen] = [[], []]
    for one in seen:
        in_thread(lambda one=one: follow_in_thread(task_id, lambda task: one.append(shown(task))))
    in_thread(lambda: queue.get_result(task_id, timeout=30))
    until(lambda: len(queue._open_endings()._waiting.get(("default", task_id.rpartition(".")[2]), ())) == 3)
    with pytest.raises(TimeoutError):
        queue.get_result(task_id, timeout=0.05)
    task = take(queue)
    queue.update_progress(50, task_id=task)
    until(lambda: all(one[-1] == ("running", 50) for one in seen))
    queue.complete_task(task)
    until(lambda: all(one[-1] == ("completed", None) for one in seen))


@both
def test_it_is_right_though_every_notification_is_lost(
    queue: Queue, follow: Any, in_thread: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LOOK_ANYWAY_S", 0.2)
    monkeypatch.setattr("singleton_service.background.task_queue.following.LOOK_ANYWAY_S", 0.2)
    monkeypatch.setattr(results.EndingWatch, "_hear", _hear_no_message)
    task_id = queue.enqueue_task("x")
    seen: Seen = []
    following = in_thread(lambda: follow(task_id, lambda task: seen.append(shown(task)), None))
    waiting = in_thread(lambda: queue.get_result(task_id, timeout=None))
    until(lambda: marks(queue) == 1)
    task = take(queue)
    queue.update_progress(50, task_id=task)
    until(lambda: seen[-1] == ("running", 50))
    queue.complete_task(task)
    for each in (following, waiting):
        each.join(10)
        assert not each.is_alive()
    assert seen[-1] == ("completed", None)


def _hear_no_message(watch: results.EndingWatch) -> None:
    kind, subject, *_ = watch._ear.receive()
    watch._unanswered_since = None
    if kind == b"subscribe":
        watch._subscribed.add(subject.decode().rpartition("{")[2].rpartition("}")[0])


@both
def test_it_goes_on_when_the_subscription_is_killed(queue: Queue, follow: Any, in_thread: Any, until: Any) -> None:
    task_id = queue.enqueue_task("x")
    seen: Seen = []
    following = in_thread(lambda: follow(task_id, lambda task: seen.append(shown(task)), None))
    until(lambda: marks(queue) == 1)
    task = take(queue)
    for percent in (10, 20, 30):
        until(lambda: queue._open_client().link.call(b"CLIENT", b"KILL", b"TYPE", b"pubsub"))
        queue.update_progress(percent, task_id=task)
        until(lambda percent=percent: seen[-1] == ("running", percent))
    until(lambda: queue._open_client().link.call(b"CLIENT", b"KILL", b"TYPE", b"pubsub"))
    queue.complete_task(task)
    following.join(10)
    assert seen[-1] == ("completed", None)


@both
def test_who_follows_does_not_start_again_what_was_stopped(
    queue: Queue, follow: Any, in_thread: Any, until: Any
) -> None:
    task_id = queue.enqueue_task("x")
    failures: list[type[BaseException]] = []

    def watch() -> None:
        try:
            follow(task_id, lambda task: None, None)
        except QueueUnavailableError as error:
            failures.append(type(error))

    following = in_thread(watch)
    until(lambda: queue._open_endings()._marked)
    singleton_service.stop()
    following.join(10)
    assert failures == [QueueUnavailableError]
    assert not queue._initialized
    assert marks_left(queue, task_id) == 0


def marks_left(queue: Queue, task_id: str) -> int:
    assert queue.get_task_status(task_id) is not None
    return marks(queue)


def test_a_handle_shows_the_task(queue: Queue) -> None:
    handle = TaskHandle(queue.enqueue_task("x"))
    assert (handle.status, handle.progress) == (TaskStatus.PENDING, None)
    queue.complete_task(take(queue), [1])
    assert handle.result == handle.get() == asyncio.run(handle.aget()) == [1]
    assert [task.result for task in handle.updates()] == [[1]]
    assert handle.cancel() is False
