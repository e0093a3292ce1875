"""A circuit breaker opens after failures in a row, refuses calls, and closes by one that shows it works again."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import BaseService, CircuitBreaker, CircuitState, _circuit, guarded, health, health_async, start
from singleton_service.exceptions import CircuitOpenError
from singleton_service.testing import isolated

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

pytestmark = pytest.mark.timeout(30)

CLOSED, OPEN, HALF_OPEN = CircuitState
GONE = "ConnectionError: gone"
REFUSED = "Calls are refused, but for one every 30 s"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_circuit, "time", clock)
    return clock


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=3, recovery_seconds=30)


def fail(breaker: CircuitBreaker, times: int = 1, error: BaseException | None = None) -> None:
    raised = error or ConnectionError("gone")
    for _ in range(times):
        with pytest.raises(type(raised)), breaker:
            raise raised


def test_it_opens_after_so_many_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    with breaker:
        pass
    fail(breaker, 2)
    assert (breaker.state, breaker.retry_in_s, breaker.refusal) == (CLOSED, 0, None)
    fail(breaker)
    assert (breaker.state, breaker.retry_in_s) == (OPEN, 30)
    assert breaker.refusal == "a circuit breaker is open, after ConnectionError: gone"


def test_open_it_refuses_and_says_what_happened(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 10
    calls = []
    with pytest.raises(CircuitOpenError) as refused, breaker:
        calls.append(1)
    assert not calls
    error = refused.value
    assert (error.circuit, error.retry_in_s, error.last_failure) == ("a circuit breaker", 20, "ConnectionError: gone")
    assert str(error) == (
        "a circuit breaker is open, after ConnectionError: gone: nothing was called. "
        "It lets a call through in 20.0 s; reset() closes it now."
    )


def test_when_its_time_is_over_one_of_many_is_let_through_and_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 30
    assert (breaker.state, breaker.retry_in_s) == (HALF_OPEN, 0)
    begin, may_end = threading.Barrier(20), threading.Event()
    outcomes: list[str] = []

    def call() -> None:
        begin.wait(10)
        try:
            with breaker:
                may_end.wait(10)
                outcomes.append("called")
        except CircuitOpenError:
            outcomes.append("refused")
            if len(outcomes) == 19:
                assert (breaker.state, breaker.retry_in_s) == (HALF_OPEN, 30)
                may_end.set()

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert outcomes == ["refused"] * 19 + ["called"]
    assert breaker.state is CLOSED


def test_one_failure_of_the_one_that_was_let_through_opens_it_again(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 30
    fail(breaker)
    assert (breaker.state, breaker.retry_in_s) == (OPEN, 30)


def test_one_that_was_let_through_and_never_ended_is_followed_by_another(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 30
    breaker.__enter__()  # its thread is interrupted before the block
    clock.now_s += 31
    with breaker:
        pass
    assert breaker.state is CLOSED


def test_a_call_that_never_ended_does_not_hide_later_ones_for_long(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.__enter__()
    fail(breaker, 3)
    assert breaker.state is CLOSED, "taken for parts of it"
    clock.now_s += 31
    fail(breaker, 3)
    assert breaker.state is OPEN


@pytest.mark.parametrize("shows_nothing", [KeyboardInterrupt(), CircuitOpenError("another", 1, "OSError")])
def test_what_says_nothing_about_the_service_changes_nothing(
    breaker: CircuitBreaker, clock: Clock, shows_nothing: BaseException
) -> None:
    fail(breaker, 2)
    fail(breaker, 5, shows_nothing)
    assert breaker.state is CLOSED
    fail(breaker)
    assert breaker.state is OPEN, "nor did it count as an answer"
    clock.now_s += 30
    fail(breaker, 5, shows_nothing)
    assert (breaker.state, breaker.retry_in_s) == (HALF_OPEN, 0), "the next one finds out"


def test_errors_that_are_no_failures_show_that_it_answers(clock: Clock) -> None:
    breaker = CircuitBreaker(2, 30, failure_types=(ConnectionError, TimeoutError))
    for _ in range(3):
        fail(breaker)
        fail(breaker, 1, KeyError("no such customer"))
    assert breaker.state is CLOSED
    fail(breaker, 1, TimeoutError())
    fail(breaker, 1, ConnectionResetError())
    assert breaker.refusal == "a circuit breaker is open, after ConnectionResetError"


def test_a_call_inside_a_call_is_part_of_it(breaker: CircuitBreaker, clock: Clock) -> None:
    @breaker
    def inner() -> None:
        raise ConnectionError("gone")

    @breaker
    def outer() -> None:
        inner()

    for n in range(3):
        assert breaker.state is CLOSED, f"{n} failures, each counted once"
        with pytest.raises(ConnectionError):
            outer()
    assert breaker.state is OPEN
    clock.now_s += 30
    with breaker, breaker:
        pass
    assert breaker.state is CLOSED


def test_a_call_that_began_before_it_opened_changes_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    early = contextvars.copy_context()
    early.run(breaker.__enter__)
    late = contextvars.copy_context()
    late.run(breaker.__enter__)
    fail(breaker, 3)
    clock.now_s += 10
    early.run(breaker.__exit__, None, None, None)
    late.run(breaker.__exit__, OSError, OSError(), None)
    assert (breaker.state, breaker.retry_in_s) == (OPEN, 20)


def test_a_thousand_coroutines_share_it(breaker: CircuitBreaker, clock: Clock) -> None:
    @breaker
    async def ask(is_up: asyncio.Event) -> None:
        await asyncio.sleep(0)
        if not is_up.is_set():
            raise ConnectionError("gone")

    async def call(is_up: asyncio.Event) -> str:
        try:
            async with breaker:
                await ask(is_up)
                return "called"
        except CircuitOpenError:
            return "refused"
        except ConnectionError:
            return "failed"

    async def main() -> None:
        is_up = asyncio.Event()
        assert await asyncio.gather(*(call(is_up) for _ in range(1000))) == ["failed"] * 1000
        assert await asyncio.gather(*(call(is_up) for _ in range(1000))) == ["refused"] * 1000
        clock.now_s += 30
        is_up.set()
        assert sorted(await asyncio.gather(*(call(is_up) for _ in range(1000)))) == ["called", *["refused"] * 999]
        assert await asyncio.gather(*(call(is_up) for _ in range(1000))) == ["called"] * 1000

    asyncio.run(main())


def test_a_cancelled_coroutine_shows_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    async def main() -> None:
        fail(breaker, 3)
        clock.now_s += 30
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(breaker(asyncio.Event().wait)(), 0.01)

    asyncio.run(main())
    assert (breaker.state, breaker.retry_in_s) == (HALF_OPEN, 0)


def define(breaker_: CircuitBreaker) -> Any:
    class Payments(BaseService):
        breaker = breaker_

        @classmethod
        @guarded
        @breaker
        def charge(cls, cents: int) -> str:
            """Charge so many cents."""
            if cents < 0:
                raise ConnectionError("gone")
            return f"{cls.__name__} {cents}"

        @classmethod
        @breaker
        @guarded
        async def charge_async(cls, cents: int) -> str:
            return cls.charge(cents)

    return Payments


def test_it_goes_around_methods_plain_and_async_above_or_below_guarded(breaker: CircuitBreaker) -> None:
    payments = define(breaker)
    assert payments.charge(5) == "Payments 5"
    assert asyncio.run(payments.charge_async(6)) == "Payments 6"
    assert payments.charge.__doc__ == "Charge so many cents."
    for _ in range(3):
        with pytest.raises(ConnectionError):
            payments.charge(-1)
    with pytest.raises(CircuitOpenError):
        payments.charge(5)
    with pytest.raises(CircuitOpenError, match=r"^Payments\.breaker is open"):
        asyncio.run(payments.charge_async(6))


def test_it_goes_around_no_generator_and_nothing_that_is_no_function(breaker: CircuitBreaker) -> None:
    def generate() -> Generator[int]:
        yield 1

    with pytest.raises(TypeError, match="inside `with` the breaker"):
        breaker(generate)
    things: list[Any] = [staticmethod(define), 5]
    for thing in things:
        with pytest.raises(TypeError, match="put it below @classmethod"):
            breaker(thing)


def test_a_service_with_an_open_circuit_is_not_healthy_and_not_pinged(breaker: CircuitBreaker, clock: Clock) -> None:
    payments = define(breaker)
    pinged = []

    class Special(payments):  # type: ignore[misc,valid-type]  # a class that is made at run time
        @classmethod
        def ping(cls) -> bool:
            pinged.append(1)
            return True

    start(payments, Special)
    pinged.clear()
    fail(breaker, 3)
    told = (False, "Payments.breaker is open, after ConnectionError: gone")
    assert [(answer["ok"], answer["error"]) for answer in health(payments, Special)] == [told] * 2
    assert [(answer["ok"], answer["error"]) for answer in asyncio.run(health_async(payments))] == [told]
    assert not pinged
    clock.now_s += 30
    assert health(payments)[0]["ok"], "or nothing would ever be let through"


def test_what_happens_in_isolation_leaves_it_closed(breaker: CircuitBreaker) -> None:
    payments = define(breaker)
    with isolated():
        fail(breaker, 3)
    assert breaker.state is CLOSED
    assert payments.charge(5) == "Payments 5"


def test_opening_and_closing_are_said_once(
    breaker: CircuitBreaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fail(breaker, 3)
    for _ in range(3):
        clock.now_s += 30
        fail(breaker)
    clock.now_s += 30
    with breaker:
        pass
    assert caplog.messages == [
        f"a circuit breaker is open: 3 calls in a row failed, the last with {GONE}. {REFUSED}",
        "a circuit breaker is closed again",
    ]


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: CircuitBreaker(0), "failure_threshold 0 is out of range"),
        (lambda: CircuitBreaker(True), "failure_threshold True is no integer"),
        (lambda: CircuitBreaker(1, 0), "recovery_seconds 0 is out of range"),
        (lambda: CircuitBreaker(1, float("inf")), "recovery_seconds inf is out of range"),
        (lambda: CircuitBreaker(1, "5"), "recovery_seconds '5' is no number"),  # type: ignore[arg-type]
        (lambda: CircuitBreaker(failure_types=("OSError",)), "which is no exception class"),  # type: ignore[arg-type]
    ],
)
def test_what_cant_be_used_is_refused(make: Callable[[], object], rule: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rule):
        make()
