from __future__ import annotations

import pytest

from singleton_service.background.scheduler.clock import ServerClock


class Steady:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def clock(steady: Steady) -> ServerClock:
    return ServerClock(steady)


def test_before_the_first_answer_nobody_knows_the_time(clock: ServerClock) -> None:
    with pytest.raises(RuntimeError, match="ask it first"):
        clock.now_ms()


def test_it_tells_the_servers_time_between_answers(clock: ServerClock, steady: Steady) -> None:
    clock.heard(5_000_000, sent_at_s=99.5, received_at_s=100.0)
    assert clock.now_ms() == 5000

    steady.now_s += 7.25
    assert clock.now_ms() == 12_250


def test_a_slow_answer_that_agrees_moves_nothing_and_a_quick_one_makes_it_better(
    clock: ServerClock, steady: Steady
) -> None:
    clock.heard(5_000_000, 99.0, 101.0)
    assert clock.now_ms() == 4000, "it may be as early as that: nothing is fired before its instant"
    assert clock.heard(5_400_000, 98.0, 102.0) == 0
    assert clock.now_ms() == 4000

    assert clock.heard(5_400_000, 100.0, 100.0) == pytest.approx(1.4)
    assert clock.now_ms() == 5400
    assert clock.heard(5_000_000, 90.0, 110.0) == 0
    assert clock.now_ms() == 5400


def test_a_server_whose_clock_was_set_is_believed(clock: ServerClock) -> None:
    clock.heard(5_000_000_000, 100.0, 100.0)

    assert clock.heard(1_000_000_000, 100.0, 100.0) == pytest.approx(-4000)
    assert clock.now_ms() == 1_000_000
