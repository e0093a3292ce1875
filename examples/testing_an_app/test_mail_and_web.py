"""Coroutines, batches and requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from bookshop import app, charge, index_books, send_mail
from services.scheduler import SchedulerService
from services.task_queue import TaskQueueService, TaskStatus

if TYPE_CHECKING:
    from conftest import FakeBank, Outbox
    from services.testing import TaskQueueBench

ORDER = {"email": "ada@example.com", "card": "4711", "cents": 1200}


def test_mail_is_tried_three_times(task_queue: TaskQueueBench) -> None:
    mail = send_mail.enqueue(to="ada@example.com", text="Hello")
    with task_queue.immediate(errors="collect"):
        task_queue.clock.move(minutes=3)
    known = TaskQueueService.get_task_status(mail.id)
    assert known is not None
    assert (known.status, len(known.errors)) == (TaskStatus.FAILED, 3)


def test_mail_goes_out_on_the_loop_of_an_async_test(task_queue: TaskQueueBench, outbox: type[Outbox]) -> None:
    async def test() -> None:
        mail = send_mail.enqueue(to="ada@example.com", text="Hello")
        await task_queue.adrain()
        await mail.aget(timeout=1)

    asyncio.run(test())
    assert outbox.sent == ["ada@example.com: Hello"]


def test_books_are_indexed_together(task_queue: TaskQueueBench) -> None:
    indexed = [index_books.enqueue(title=title) for title in ("Opticks", "Principia", "Micrographia")]
    assert len(task_queue.drain()) == 3
    assert [each.result for each in indexed] == ["opticks", "principia", "micrographia"]


def test_an_order_is_paid_for_in_the_background(task_queue: TaskQueueBench, bank: type[FakeBank]) -> None:
    answer = TestClient(app).post("/orders", json=ORDER).json()
    assert bank.charged == []
    task_queue.assert_enqueued(charge, order=answer["order"])
    task_queue.drain(errors="collect")
    assert TestClient(app).get(f"/payments/{answer['payment']}").json() == {"status": "completed"}


def test_with_immediate_tasks_a_request_has_its_money(task_queue: TaskQueueBench, bank: type[FakeBank]) -> None:
    with task_queue.immediate(errors="collect"):
        answer = TestClient(app).post("/orders", json=ORDER).json()
    assert bank.charged == [1200]
    assert TaskQueueService.get_result(answer["payment"]) == "R1200"


def test_a_payment_that_nobody_knows_is_unknown(task_queue: TaskQueueBench) -> None:
    assert TestClient(app).get("/payments/critical.nothing").json() == {"status": "unknown"}


@pytest.mark.parametrize("turn", [1, 2])
def test_no_test_finds_what_another_has_left(task_queue: TaskQueueBench, order: int, turn: int) -> None:
    assert order == 1
    assert TaskQueueService.get_queue_stats()["tasks_queued"] == 0
    assert SchedulerService.get_scheduled_jobs() == []
    TaskQueueService.enqueue_task("charge", {"order": order}, delay_seconds=turn)
    SchedulerService.schedule_task("charge", {"order": order}, "hourly")
