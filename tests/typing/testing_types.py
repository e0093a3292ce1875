"""What type checkers see of the door to tests; nothing here runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import assert_type

from services.task_queue import Task, TaskHandler, task
from services.testing import Attempt, TaskQueueBench


@task
def add(a: int, b: int) -> int:
    return a + b


class Report(TaskHandler):
    @classmethod
    def perform(cls, day: str) -> None: ...


def test(task_queue: TaskQueueBench) -> None:
    assert_type(task_queue.assert_enqueued(add, a=1), list[Task])
    assert_type(task_queue.assert_enqueued(Report, {"day": "monday"}, delay=timedelta(days=1), count=1), list[Task])
    assert_type(task_queue.drain(), list[Attempt])
    assert_type(task_queue.drain(errors="collect")[0].error, BaseException | None)
    assert_type(task_queue.enqueued, list[Task])
    assert_type(task_queue.clock.now(), datetime)
    task_queue.clock.move(days=3, hours=1.5)
    task_queue.clock.move_to(datetime(2036, 1, 1, tzinfo=UTC))
    with task_queue.immediate(errors="collect"):
        add.enqueue(a=1, b=2)
    task_queue.drain(errors="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task_queue.assert_enqueued(len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task_queue.clock.move(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_async(task_queue: TaskQueueBench) -> None:
    assert_type(await task_queue.adrain(), list[Attempt])
