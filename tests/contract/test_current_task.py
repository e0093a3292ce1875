"""What a handler knows of its task, on every engine."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import TaskLogFilter, TaskQueueService, current_task, task
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]


def told() -> list[Any]:
    running = current_task()
    assert running is not None
    return [running.id, running.name, running.attempt, running.is_last_attempt, running.fence, running.scheduled_for]


def test_a_handler_knows_its_task_in_a_thread_in_a_coroutine_and_in_threads_of_its_own(queue: Queue) -> None:
    @task(max_retries=0)
    def plain(payload: dict[str, Any]) -> list[Any]:
        return told()

    @task
    async def coroutine(payload: dict[str, Any]) -> list[list[Any]]:
        await asyncio.sleep(0)
        return [told(), await asyncio.to_thread(told)]

    WorkerService.start_workers(2)
    handle = plain.enqueue()
    task_id, name, attempt, is_last, fence, scheduled_for = handle.get(timeout=10)
    assert (task_id, name, attempt, is_last, scheduled_for) == (handle.id, "plain", 1, True, None)
    assert fence > 0
    handle = coroutine.enqueue()
    here, there = handle.get(timeout=10)
    assert here == there
    assert here[:4] == [handle.id, "coroutine", 1, False]
    assert current_task() is None


def test_each_attempt_has_its_number_and_a_higher_fence(queue: Queue) -> None:
    seen: list[tuple[str, int, int]] = []

    @task(retry_delay_seconds=0)
    def flaky(payload: dict[str, Any]) -> None:
        running = current_task()
        assert running is not None
        seen.append((running.id, running.attempt, running.fence))
        if len(seen) < 3:
            raise ConnectionError

    WorkerService.start_workers(1)
    handle = flaky.enqueue()
    handle.get(timeout=10)
    ids, attempts, fences = zip(*seen, strict=True)
    assert set(ids) == {handle.id}
    assert attempts == (1, 2, 3)
    assert fences[0] < fences[1] < fences[2]


def test_progress_may_be_told_from_any_thread_that_was_given_the_task(queue: Queue, until: Callable[..., Any]) -> None:
    may_end = threading.Event()

    @task
    def slow(payload: dict[str, Any]) -> bool:
        running = current_task()
        assert running is not None
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(running.progress(40, "reading")))
        thread.start()
        thread.join()
        assert may_end.wait(10)
        return answers[0]

    WorkerService.start_workers(1)
    handle = slow.enqueue()
    progress = until(lambda: handle.progress)
    assert (progress.percent, progress.message) == (40, "reading")
    may_end.set()
    assert handle.get(timeout=10) is True


def test_logs_of_a_handler_carry_its_task(queue: Queue) -> None:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    ours = Lines()
    ours.setFormatter(logging.Formatter("%(task_id)s %(task_attempt)s %(message)s"))
    ours.addFilter(TaskLogFilter())
    logger = logging.getLogger("an_applications_own")
    logger.addHandler(ours)
    try:

        @task
        def plain(payload: dict[str, Any]) -> None:
            logger.warning("from a thread")

        @task
        async def coroutine(payload: dict[str, Any]) -> None:
            logger.warning("from a coroutine")

        WorkerService.start_workers(1)
        logger.warning("from elsewhere")
        first, second = plain.enqueue(), coroutine.enqueue()
        first.get(timeout=10)
        second.get(timeout=10)
    finally:
        logger.removeHandler(ours)
    assert sorted(lines) == sorted(
        ["- - from elsewhere", f"{first.id} 1 from a thread", f"{second.id} 1 from a coroutine"]
    )
