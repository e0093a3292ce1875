"""What the tests of the bookshop share: a bank, a post office and an order that costs nothing."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from bookshop import Bank, BankAwayError, CardDeclinedError, Mailer, Order, Orders
from singleton_service import BaseService, guarded


class FakeBank(BaseService):
    """A bank that is away as often as a test says."""

    away: ClassVar[int] = 0
    charged: ClassVar[list[int]] = []

    @classmethod
    @guarded
    def charge(cls, card: str, cents: int) -> str:
        """Return a receipt, or fail as a bank does."""
        if cls.away > 0:
            cls.away -= 1
            raise BankAwayError
        if card == "stolen":
            raise CardDeclinedError(card)
        cls.charged.append(cents)
        return f"R{cents}"


class Outbox(BaseService):
    """A mailer that keeps what it is given."""

    sent: ClassVar[list[str]] = []

    @classmethod
    @guarded
    async def send(cls, to: str, text: str) -> None:
        """Keep it."""
        cls.sent.append(f"{to}: {text}")


@pytest.fixture
def bank(services: Any) -> type[FakeBank]:
    """Give the bank that stands in for the real one."""
    services.override(Bank, FakeBank)
    return FakeBank


@pytest.fixture
def outbox(services: Any) -> type[Outbox]:
    """Give the mailer that stands in for the real one."""
    services.override(Mailer, Outbox)
    return Outbox


@pytest.fixture
def order() -> int:
    """Place an order."""
    return Orders.add(Order("ada@example.com", "4711", 1200))
