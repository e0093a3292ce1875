"""What type checkers see through the decorators. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, ClassVar, Protocol, assert_type

from singleton_service import BaseService, CircuitBreaker, guarded, requires, running, start, stop


class Sender(Protocol):
    """Something a service may promise to be."""

    @classmethod
    def send(cls, to: str, /, *, copies: int = 1) -> bool:
        """Send."""
        ...


class Config(BaseService):
    """Plain hooks."""

    _values: ClassVar[dict[str, str]] = {}

    @classmethod
    def initialize(cls) -> None:
        """Load."""
        cls._values = {"a": "b"}

    @classmethod
    @guarded
    def get(cls, key: str, default: str | None = None) -> str | None:
        """Return one value."""
        return cls._values.get(key, default)


@requires(Config)
class Mailer(BaseService):
    """Async hooks, and one method of each kind."""

    _sent: ClassVar[int] = 0

    @classmethod
    async def initialize(cls) -> None:
        """Connect."""

    @classmethod
    async def ping(cls) -> bool:
        """Ask."""
        return True

    @classmethod
    async def shutdown(cls) -> None:
        """Disconnect."""

    @classmethod
    @guarded
    def send(cls, to: str, /, *, copies: int = 1) -> bool:
        """Send, plainly."""
        cls._sent += copies
        return bool(to)

    @classmethod
    @guarded
    async def send_async(cls, to: str) -> int:
        """Send, awaiting."""
        cls._sent += 1
        return len(to)

    @classmethod
    @guarded
    def each(cls, count: int) -> Generator[int, str, bytes]:
        """Yield."""
        yield count
        return b""

    @classmethod
    @guarded
    async def each_async(cls) -> AsyncGenerator[int, str]:
        """Yield, awaiting."""
        yield cls._sent

    @classmethod
    @contextmanager
    @guarded
    def session(cls) -> Iterator[float]:
        """Lend something."""
        yield 1.0

    @classmethod
    @guarded
    @contextmanager
    def session_guarded_outside(cls) -> Iterator[float]:
        """Lend something."""
        yield 1.0

    @classmethod
    @asynccontextmanager
    @guarded
    async def session_async(cls) -> AsyncIterator[float]:
        """Lend something, awaiting."""
        yield 1.0


class Special(Mailer):
    """A subclass."""


def plain() -> None:
    """Look at plain calls."""
    assert_type(Config.get("a"), str | None)
    assert_type(Mailer.send("a", copies=2), bool)
    assert_type(Special.send("a"), bool)
    assert_type(Mailer.each(3), Generator[int, str, bytes])
    assert_type(Mailer.each_async(), AsyncGenerator[int, str])
    with Mailer.session() as lent:
        assert_type(lent, float)
    sender: type[Sender] = Mailer
    sync_manager: AbstractContextManager[float] = Mailer.session_guarded_outside()
    async_manager: AbstractAsyncContextManager[float] = Mailer.session_async()
    del sender, sync_manager, async_manager

    Config.get(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Config.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Mailer.send(to="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Mailer.send("a", copies="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    guarded(3)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    requires(int)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    requires(Config)(int)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


async def awaiting() -> None:
    """Look at awaited calls."""
    assert_type(await Mailer.send_async("a"), int)
    coroutine: Coroutine[Any, Any, int] = Mailer.send_async("a")
    assert_type(await coroutine, int)
    async with Mailer.session_async() as lent:
        assert_type(lent, float)
    async with running(Mailer) as block:
        assert_type(block, running)


def lifecycle() -> None:
    """Look at the functions."""
    start(Mailer, Config)
    stop()
    stop(Mailer, timeout=1.5)
    with running(Mailer):
        pass
    assert_type(requires(Config)(Mailer), type[Mailer])
    start(Mailer())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Payments(BaseService):
    """Methods inside a circuit breaker."""

    breaker = CircuitBreaker(failure_types=(ConnectionError, TimeoutError))

    @classmethod
    @guarded
    @breaker
    def charge(cls, cents: int) -> str:
        """Charge."""
        return str(cents)

    @classmethod
    @guarded
    @breaker
    async def refund(cls, cents: int) -> bool:
        """Give back."""
        with cls.breaker:
            return cents > 0


async def pay() -> None:
    """Look at calls inside a circuit breaker."""
    assert_type(Payments.charge(5), str)
    assert_type(await Payments.refund(cents=5), bool)
    assert_type(Payments.breaker, CircuitBreaker)
    Payments.charge("5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CircuitBreaker(failure_types="OSError")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
