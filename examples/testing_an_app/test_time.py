"""Days, weeks and Sundays: the clock of the tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bookshop import AskForReview, Orders, Ship, charge, close_the_day, hold_in_cart, send_mail, subscribe
from services.scheduler import SchedulerService
from services.task_queue import TaskExpiredError, TaskHandler, TaskStatus, task

if TYPE_CHECKING:
    from conftest import FakeBank, Outbox
    from services.testing import TaskQueueBench

FRIDAY = datetime(2036, 2, 29, 9, tzinfo=UTC)


def test_an_order_is_shipped_two_hours_later(task_queue: TaskQueueBench, bank: type[FakeBank], order: int) -> None:
    task_queue.clock.move_to(FRIDAY)
    charge.enqueue(order=order)
    task_queue.drain(errors="collect")
    assert Orders.known[order].state == "paid"
    task_queue.clock.move(hours=2)
    task_queue.drain(errors="collect")
    assert Orders.known[order].state == "shipped"


def test_the_post_does_not_come_on_sundays(task_queue: TaskQueueBench, order: int) -> None:
    Orders.known[order].state = "paid"
    task_queue.clock.move_to(FRIDAY.replace(month=3, day=2))
    Ship.perform_async(order)
    task_queue.drain()
    assert Orders.known[order].state == "paid"
    task_queue.clock.move(days=1)
    task_queue.drain()
    assert Orders.known[order].state == "shipped"


def test_two_weeks_in_the_life_of_an_order(
    task_queue: TaskQueueBench, bank: type[FakeBank], outbox: type[Outbox], order: int
) -> None:
    task_queue.clock.move_to(FRIDAY)
    bank.away = 2
    with task_queue.immediate(errors="collect"):
        charge.enqueue(order=order)
        assert outbox.sent == []
        task_queue.clock.move(weeks=2, hours=1)
    assert outbox.sent == [
        "ada@example.com: Thank you! Your receipt is R1200.",
        "ada@example.com: How was the book?",
    ]


def test_who_sent_the_book_back_is_not_asked(task_queue: TaskQueueBench, order: int) -> None:
    Orders.known[order].state = "returned"
    asked = AskForReview.perform_in(60, order)
    task_queue.clock.move(minutes=1)
    task_queue.drain()
    assert asked.result is False
    assert [each.name for each in task_queue.enqueued] == ["AskForReview"]


def test_a_review_is_not_asked_for_after_a_month(task_queue: TaskQueueBench, order: int) -> None:
    asked = AskForReview.perform_async(order)
    task_queue.clock.move(days=30)
    assert task_queue.drain() == []
    assert asked.status is TaskStatus.EXPIRED


def test_a_book_is_held_for_a_quarter_of_an_hour(task_queue: TaskQueueBench) -> None:
    late = hold_in_cart.enqueue(book="Opticks")
    task_queue.clock.move(minutes=15)
    soon = hold_in_cart.enqueue(book="Opticks")
    task_queue.clock.move(minutes=14)
    task_queue.drain()
    assert soon.result == "Opticks"
    with pytest.raises(TaskExpiredError):
        _ = late.result


def test_each_day_is_closed_at_two(task_queue: TaskQueueBench, outbox: type[Outbox], order: int) -> None:
    task_queue.clock.move_to(FRIDAY)
    SchedulerService.start_scheduler()
    Orders.known[order].state = "paid"
    with task_queue.immediate():
        task_queue.clock.move(days=2)
    assert outbox.sent == [
        "owner@example.com: Sat 01 Mar: 1 orders paid",
        "owner@example.com: Sun 02 Mar: 1 orders paid",
    ]


def test_a_day_is_not_closed_before_two(task_queue: TaskQueueBench) -> None:
    task_queue.clock.move_to(FRIDAY)
    SchedulerService.start_scheduler()
    task_queue.clock.move(hours=16, minutes=59)
    task_queue.assert_enqueued(close_the_day, count=0)
    task_queue.clock.move(minutes=1)
    task_queue.assert_enqueued(close_the_day, queue="low", count=1)


def test_the_newsletter_comes_each_monday(task_queue: TaskQueueBench, outbox: type[Outbox]) -> None:
    task_queue.clock.move_to(FRIDAY)
    subscribe("ada@example.com")
    task_queue.clock.move(weeks=4)
    task_queue.assert_enqueued(send_mail, text="New books!", count=4)
    assert {each.scheduled_for.strftime("%A %H:%M") for each in task_queue.enqueued if each.scheduled_for} == {
        "Monday 09:00"
    }


def test_who_unsubscribes_gets_no_more(task_queue: TaskQueueBench) -> None:
    task_queue.clock.move_to(FRIDAY)
    newsletter = subscribe("ada@example.com")
    task_queue.clock.move(weeks=1)
    assert SchedulerService.unschedule(newsletter)
    task_queue.clock.move(weeks=3)
    task_queue.assert_enqueued(send_mail, count=1)


def test_a_schedule_of_a_test_ends_with_it(task_queue: TaskQueueBench) -> None:
    @task(schedule="hourly")
    def every_hour() -> None: ...

    class EveryNight(TaskHandler):
        cron_schedule = "0 3 * * *"

        @classmethod
        def perform(cls) -> None: ...

    SchedulerService.start_scheduler()
    listed = {job["id"] for job in SchedulerService.get_scheduled_jobs()}
    assert listed == {"handler.close_the_day", "handler.every_hour", "handler.EveryNight"}
