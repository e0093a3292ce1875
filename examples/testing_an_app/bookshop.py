"""A bookshop that does its work in tasks. Its tests lie beside it: `python -m pytest` in this folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any, ClassVar

from fastapi import FastAPI
from pydantic import BaseModel

from services.fastapi import answer_queue_error
from services.scheduler import SchedulerService
from services.task_queue import Retry, TaskHandle, TaskHandler, TaskQueueError, current_task, task
from singleton_service import BaseService, guarded, requires

HOUR, DAY = 3600, 86_400


class CardDeclinedError(Exception):
    """The bank will not pay for this card, however often it is asked."""


class BankAwayError(Exception):
    """The bank does not answer now."""


class Bank(BaseService):
    """Takes money. A real one would."""

    @classmethod
    @guarded
    def charge(cls, card: str, cents: int) -> str:
        """Return a receipt."""
        raise NotImplementedError(f"{card}, {cents}: this bookshop has no bank yet")


class Mailer(BaseService):
    """Sends mail. A real one would."""

    @classmethod
    @guarded
    async def send(cls, to: str, text: str) -> None:
        """Send it."""
        raise NotImplementedError(f"{to}, {text}: this bookshop has no mail server yet")


@dataclass
class Order:
    """One order, and how far it has come."""

    email: str
    card: str
    cents: int
    state: str = "placed"


class Orders(BaseService):
    """What was ordered, in memory."""

    known: ClassVar[dict[int, Order]] = {}

    @classmethod
    @guarded
    def add(cls, order: Order) -> int:
        """Keep an order and return its number."""
        number = len(cls.known) + 1
        cls.known[number] = order
        return number


# Tasks


@task(queue="critical", max_retries=4, retry_delay_seconds=30, retry_backoff=True, give_up_on=CardDeclinedError)
def charge(order: int) -> str:
    """Take the money for an order, then have it shipped."""
    placed = Orders.known[order]
    receipt = Bank.charge(placed.card, placed.cents)
    placed.state = "paid"
    send_mail.enqueue(to=placed.email, text=f"Thank you! Your receipt is {receipt}.")
    Ship.perform_in(2 * HOUR, order)
    AskForReview.perform_in(14 * DAY, order)
    return receipt


@task(max_retries=2, retry_delay_seconds=60)
async def send_mail(to: str, text: str) -> None:
    """Send one mail."""
    await Mailer.send(to, text)


@requires(Orders)
class Ship(TaskHandler):
    """Hand an order to the post, which does not come on Sundays."""

    @classmethod
    def perform(cls, order: int) -> None:
        """Ship it, unless it was called back."""
        task = current_task()
        if (
            task is not None
            and task.task.started_at is not None
            and task.task.started_at.astimezone(UTC).weekday() == 6
        ):
            raise Retry(delay_seconds=DAY, reason="no post on Sundays")
        if Orders.known[order].state == "paid":
            Orders.known[order].state = "shipped"


class AskForReview(TaskHandler):
    """Ask how the book was."""

    queue = "low"
    expires_in = 30 * DAY

    @classmethod
    def perform(cls, order: int) -> bool:
        """Ask those who kept theirs; whether that was so."""
        if Orders.known[order].state != "shipped":
            return False
        send_mail.enqueue(to=Orders.known[order].email, text="How was the book?")
        return True


@task(batch=100)
def index_books(books: list[dict[str, Any]]) -> list[str]:
    """Put many books into the catalogue at once."""
    return [book["title"].lower() for book in books]


@task(expires_in=15 * 60)
def hold_in_cart(book: str) -> str:
    """Keep a book for somebody who is about to buy it."""
    return book


@task(schedule="daily at 02:00", queue="low")
def close_the_day() -> str:
    """Report on the day that has ended."""
    running = current_task()
    night = running.task.scheduled_for if running else None
    paid = sum(order.state != "placed" for order in Orders.known.values())
    report = f"{night:%a %d %b}: {paid} orders paid" if night else "no night"
    send_mail.enqueue(to="owner@example.com", text=report)
    return report


def subscribe(email: str) -> str:
    """Send the newsletter each Monday at nine."""
    return SchedulerService.schedule_task(
        "send_mail", {"to": email, "text": "New books!"}, "every monday at 09:00", id=f"newsletter-{email}"
    )


# The web

app = FastAPI()
app.add_exception_handler(TaskQueueError, answer_queue_error)


class NewOrder(BaseModel):
    """What a customer sends."""

    email: str
    card: str
    cents: int


@app.post("/orders")
def place_order(new: NewOrder) -> dict[str, Any]:
    """Keep an order, and have it paid."""
    number = Orders.add(Order(new.email, new.card, new.cents))
    return {"order": number, "payment": charge.enqueue(order=number).id}


@app.get("/payments/{payment}")
async def show_payment(payment: str) -> dict[str, str]:
    """Say how a payment stands."""
    status = TaskHandle(payment).status
    return {"status": status or "unknown"}
