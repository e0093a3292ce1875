from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.scheduler.loop import Loop
from singleton_service.background.task_queue import NotAcceptingError, QueueUnavailableError
from singleton_service.workers import Server
from tests.conftest import wait_until

from .conftest import NOON_MS, Clock, Journal

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def clock() -> Clock:
    # Half a second before an instant of any schedule of seconds, so that a test has time to begin.
    return Clock(NOON_MS - 500, ticking=True)


@pytest.fixture
def loop(clock: Clock) -> Loop:
    return Loop(clock)


def wake(loop: Loop) -> None:
    """Have the loop look at the clock now, not in a few seconds."""
    with loop.timetable.changed:
        loop.timetable.changed.notify_all()


def test_it_fires_each_instant_once(loop: Loop, journal: Journal, run: Callable[[Loop], Loop]) -> None:
    loop.timetable.add(journal.entry(loop.timetable, "a", "every second"))
    run(loop)

    wait_until(lambda: len(journal.fires) >= 2)

    assert journal.instants("a")[:2] == [NOON_MS, NOON_MS + 1000]


def test_it_stops_at_once_while_it_sleeps(loop: Loop, journal: Journal, run: Callable[[Loop], Loop]) -> None:
    loop.timetable.add(journal.entry(loop.timetable, "a", "daily at 13:00"))
    run(loop)
    wait_until(lambda: loop.is_running)

    began = time.monotonic()
    loop.stop()
    assert loop.join(10)

    assert time.monotonic() - began < 0.5, "no tick is waited for"
    assert not loop.is_running


def test_a_stopped_loop_stops_again_and_starts_again(loop: Loop, journal: Journal, run: Callable[[Loop], Loop]) -> None:
    loop.stop()
    run(loop).stop()
    loop.stop()
    assert loop.join(10)
    loop.timetable.add(journal.entry(loop.timetable, "a", "every second"))

    run(loop)
    run(loop)

    wait_until(lambda: journal.fires)


def test_an_entry_added_while_it_sleeps_is_fired_in_time(
    loop: Loop, journal: Journal, run: Callable[[Loop], Loop]
) -> None:
    loop.timetable.add(journal.entry(loop.timetable, "late", "daily"))
    run(loop)
    wait_until(lambda: loop.is_running)

    loop.timetable.add(journal.entry(loop.timetable, "soon", "every second"))

    wait_until(lambda: journal.fires, within_s=3)


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), QueueUnavailableError("redis://x", "gone"), NotAcceptingError()]
)
def test_a_job_that_fails_is_counted_tried_again_and_holds_up_no_other(
    loop: Loop,
    journal: Journal,
    run: Callable[[Loop], Loop],
    error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal.failing["bad"] = error
    loop.timetable.add(journal.entry(loop.timetable, "bad", "hourly"))
    loop.timetable.add(journal.entry(loop.timetable, "good", "hourly"))
    with caplog.at_level(logging.WARNING):
        run(loop)
        wait_until(lambda: loop.errors >= 3 and journal.instants("good"))

    assert loop.timetable.count_due() == 1
    assert len([record for record in caplog.records if "could not fire" in record.message]) == 1
    journal.failing.clear()

    wait_until(lambda: journal.instants("bad"))
    assert journal.instants("bad") == [NOON_MS], "the instant that failed, not lost"
    assert journal.instants("good") == [NOON_MS]


def test_what_nobody_foresaw_ends_one_life_and_the_next_fires_the_instant(
    loop: Loop, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.failing["bad"] = KeyboardInterrupt("no Exception")
    loop.timetable.add(journal.entry(loop.timetable, "bad", "hourly"))
    server = Server("scheduler", first_restart_s=0.01)
    server.add_worker(loop)
    server.start()
    try:
        wait_until(lambda: loop.starts >= 2)
        journal.failing.clear()
        wait_until(lambda: journal.instants("bad"))
    finally:
        server.stop()
        assert server.join_all(10)

    assert journal.instants("bad") == [NOON_MS], "the instant at which it died, once"
    assert "worker 'scheduler' died: main raised KeyboardInterrupt" in caplog.text


def test_a_clock_that_jumps_back_is_noticed(
    loop: Loop, clock: Clock, journal: Journal, run: Callable[[Loop], Loop]
) -> None:
    loop.timetable.add(journal.entry(loop.timetable, "a", "every second"))
    run(loop)
    wait_until(lambda: journal.fires)

    clock.advance(-3600)
    wake(loop)

    wait_until(lambda: any(instant < NOON_MS - 3_000_000 for instant in journal.instants("a")))


def test_a_clock_that_jumps_forward_makes_no_storm(
    loop: Loop, clock: Clock, journal: Journal, run: Callable[[Loop], Loop]
) -> None:
    loop.timetable.add(journal.entry(loop.timetable, "a", "every minute"))
    run(loop)
    wait_until(lambda: journal.instants("a") == [NOON_MS])

    clock.advance(3600)
    wake(loop)

    wait_until(lambda: len(journal.fires) == 2)
    assert journal.instants("a") == [NOON_MS, NOON_MS + 3_600_000]
