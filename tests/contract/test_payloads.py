"""Typed payloads, from the caller to the handler, on every engine."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from singleton_service.background.task_queue import TaskFailedError, TaskQueueService, TaskRequest, TaskStatus, task
from singleton_service.background.worker import WorkerService

Queue = type[TaskQueueService]


class Order(BaseModel):
    number: int
    total: Decimal


def test_a_typed_payload_goes_all_the_way(queue: Queue) -> None:
    @task
    def bill(order: Order) -> str:
        return f"{order.number}: {order.total}"

    @task
    async def report(day: date, pages: int = 2) -> str:
        return f"{day:%d %B}, {pages} pages"

    WorkerService.start_workers(1)
    assert bill.enqueue(Order(number=7, total=Decimal("1.10"))).get(timeout=10) == "7: 1.10"
    assert report.enqueue(day=date(2026, 1, 2)).get(timeout=10) == "02 January, 2 pages"
    by_name = queue.enqueue_task("report", {"day": "2026-03-04", "pages": 3})
    assert queue.get_result(by_name, timeout=10) == "04 March, 3 pages"


def test_a_bad_payload_is_refused_where_it_is_passed(queue: Queue) -> None:
    @task
    def report(day: date) -> None: ...

    with pytest.raises(ValueError, match="day: "):
        report.enqueue(day="tomorrow")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="day: it is missing"):
        queue.enqueue_task("report")
    with pytest.raises(ValueError, match="there is no such argument") as caught:
        queue.enqueue_many([TaskRequest("report", {"day": "2026-01-02"}), TaskRequest("report", {"days": 2})])
    assert "request number 1" in str(caught.value.__notes__)
    assert queue.list_tasks().tasks == []


def test_a_bad_payload_that_was_stored_fails_for_good(queue: Queue) -> None:
    task_id = queue.enqueue_task("report", {"day": "tomorrow"})  # by a process that does not know the handler

    @task
    def report(day: date) -> None: ...

    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError, match=r"The handler was not called: .* day: "):
        queue.get_result(task_id, timeout=10)
    found = queue.get_task_status(task_id)
    assert found is not None
    assert (found.status, found.retry_count) == (TaskStatus.FAILED, 0)


def test_what_is_stored_is_json_for_everybody(queue: Queue) -> None:
    @task
    def bill(order: Order, day: date) -> None: ...

    found = queue.get_task_status(bill.enqueue(Order(number=7, total=Decimal("1.10")), day=date(2026, 1, 2)).id)
    assert found is not None
    expected: dict[str, Any] = {"order": {"number": 7, "total": "1.10"}, "day": "2026-01-02"}
    assert found.payload == json.loads(json.dumps(expected))
