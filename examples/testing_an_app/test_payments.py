"""Payments: what is enqueued, what fails, what is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bookshop import DAY, HOUR, AskForReview, BankAwayError, CardDeclinedError, Orders, Ship, charge, send_mail
from services.task_queue import TaskFailedError, TaskQueueService, TaskStatus
from services.testing import TaskHeldError

if TYPE_CHECKING:
    from conftest import FakeBank, Outbox
    from services.testing import TaskQueueBench


def test_a_payment_has_its_receipt_as_result(task_queue: TaskQueueBench, bank: type[FakeBank], order: int) -> None:
    payment = charge.enqueue(order=order)
    task_queue.drain(errors="collect")
    assert payment.result == "R1200"
    assert bank.charged == [1200]


def test_what_is_paid_is_shipped_and_asked_about_later(
    task_queue: TaskQueueBench, bank: type[FakeBank], outbox: type[Outbox], order: int
) -> None:
    charge.enqueue(order=order)
    task_queue.drain()
    task_queue.assert_enqueued(send_mail, to="ada@example.com", delay=0, count=1)
    task_queue.assert_enqueued(Ship, order=order, delay=2 * HOUR)
    task_queue.assert_enqueued(AskForReview, order=order, delay=14 * DAY, queue="low")
    assert outbox.sent == ["ada@example.com: Thank you! Your receipt is R1200."]


def test_payments_are_urgent(task_queue: TaskQueueBench, order: int) -> None:
    [placed] = [TaskQueueService.get_task_status(charge.enqueue(order=order).id)]
    assert placed is not None
    assert (placed.queue, placed.max_retries) == ("critical", 4)


def test_a_bank_that_is_away_is_asked_again(task_queue: TaskQueueBench, bank: type[FakeBank], order: int) -> None:
    bank.away = 1
    payment = charge.enqueue(order=order)
    with pytest.raises(BankAwayError):
        task_queue.drain()
    assert payment.status is TaskStatus.RETRYING
    task_queue.clock.move(seconds=30)
    task_queue.drain(errors="collect")
    assert payment.result == "R1200"


def test_each_time_it_is_waited_for_twice_as_long(task_queue: TaskQueueBench, bank: type[FakeBank], order: int) -> None:
    bank.away = 99
    charge.enqueue(order=order)
    waits = []
    task_queue.drain(errors="collect")
    for wait_s in (30, 60, 120, 240):
        task_queue.clock.move(seconds=wait_s - 10)
        assert task_queue.drain(errors="collect") == []
        task_queue.clock.move(seconds=10)
        waits += [attempt.task.status for attempt in task_queue.drain(errors="collect")]
    assert waits == ["retrying", "retrying", "retrying", "failed"]


def test_a_declined_card_is_not_tried_again(task_queue: TaskQueueBench, bank: type[FakeBank], order: int) -> None:
    Orders.known[order].card = "stolen"
    payment = charge.enqueue(order=order)
    with pytest.raises(CardDeclinedError):
        task_queue.drain()
    with pytest.raises(TaskFailedError, match="stolen"):
        _ = payment.result
    task_queue.clock.move(days=1)
    assert task_queue.drain() == []


def test_a_failed_payment_can_be_tried_by_hand(task_queue: TaskQueueBench, bank: type[FakeBank], order: int) -> None:
    Orders.known[order].card = "stolen"
    payment = charge.enqueue(order=order)
    task_queue.drain(errors="collect")
    Orders.known[order].card = "4711"
    assert TaskQueueService.retry_task(payment.id)
    task_queue.drain(errors="collect")
    assert payment.result == "R1200"


def test_nothing_is_shipped_that_is_not_paid(task_queue: TaskQueueBench, bank: type[FakeBank], order: int) -> None:
    bank.away = 99
    charge.enqueue(order=order)
    with task_queue.immediate(errors="collect"):
        task_queue.clock.move(days=1)
    task_queue.assert_enqueued(Ship, count=0)
    assert Orders.known[order].state == "placed"


def test_a_name_that_nobody_knows_is_found_at_once(task_queue: TaskQueueBench) -> None:
    TaskQueueService.enqueue_task("chrage", {"order": 1})
    with pytest.raises(TaskHeldError, match="No handler registered for task: chrage"):
        task_queue.drain()


def test_an_order_must_be_a_number(task_queue: TaskQueueBench) -> None:
    with pytest.raises(ValueError, match="order"):
        TaskQueueService.enqueue_task("charge", {"order": "the first"})
    assert task_queue.enqueued == []


def test_a_task_is_a_function_as_well(bank: type[FakeBank], task_queue: TaskQueueBench, order: int) -> None:
    assert charge(order) == "R1200"
    assert Orders.known[order].state == "paid"
