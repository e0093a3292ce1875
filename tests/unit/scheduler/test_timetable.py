from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import schedule

from .conftest import NOON_MS, Clock, Journal

if TYPE_CHECKING:
    from singleton_service.background.scheduler.timetable import Timetable


def test_an_entry_fires_at_its_instant_and_not_before(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    clock.advance(0.5)
    timetable.add(journal.entry(timetable, "a", "every 10 seconds"))

    clock.advance(9.499)
    timetable.run_pending()
    assert not journal.fires

    clock.advance(0.001)
    timetable.run_pending()
    assert journal.fires == [("a", NOON_MS + 10_000)]


def test_entries_fire_in_the_order_of_their_instants(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    for seconds in random.Random(1).sample(range(1, 61), 60):
        timetable.add(journal.entry(timetable, str(seconds), f"every {60 + seconds} minutes"))

    fired_before = 0
    for _ in range(121):
        clock.advance(60)
        timetable.run_pending()
        assert all(instant == clock() for _, instant in journal.fires[fired_before:]), "each at its own minute"
        fired_before = len(journal.fires)
    assert {schedule_id for schedule_id, _ in journal.fires} == {str(n) for n in range(1, 61)}


def test_a_clock_that_jumps_forward_fires_the_latest_instant_once(
    timetable: Timetable, clock: Clock, journal: Journal
) -> None:
    timetable.add(journal.entry(timetable, "a", "every minute"))

    clock.advance(3 * 3600 + 30)
    timetable.run_pending()
    timetable.run_pending()

    assert journal.fires == [("a", NOON_MS + 3 * 3600 * 1000)]
    assert timetable.idle_seconds == 30


def test_an_instant_more_than_a_day_old_is_never_fired(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    timetable.add(journal.entry(timetable, "a", "every 240 hours"))
    first_ms = timetable.first_due_ms()
    assert first_ms is not None

    clock.advance((first_ms - clock()) / 1000 + 24 * 3600 - 599)
    timetable.run_pending()

    assert not journal.fires
    assert timetable.first_due_ms() == first_ms + 240 * 3_600_000


def test_a_clock_that_jumps_back_makes_no_entry_wait_longer_than_its_interval(
    timetable: Timetable, clock: Clock, journal: Journal
) -> None:
    timetable.add(journal.entry(timetable, "a", "every minute"))
    timetable.add(journal.entry(timetable, "b", "hourly"))

    clock.advance(-400 * 24 * 3600)
    timetable.clock_went_back()
    assert timetable.idle_seconds == 60
    clock.advance(3600)
    timetable.run_pending()

    assert {schedule_id for schedule_id, _ in journal.fires} == {"a", "b"}


def test_an_entry_put_off_is_tried_again_at_its_next_instant_at_the_latest(
    timetable: Timetable, clock: Clock, journal: Journal
) -> None:
    timetable.add(journal.entry(timetable, "a", "every 10 seconds"))
    clock.advance(10)
    entry = timetable.take_due()
    assert entry is not None

    timetable.put_off(entry, 3)
    assert timetable.idle_seconds == 3
    assert timetable.count_due() == 1
    clock.advance(3)
    entry = timetable.take_due()
    assert entry is not None
    timetable.put_off(entry, 1000)
    assert timetable.idle_seconds == 7


def test_a_removed_entry_does_not_fire(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    timetable.add(journal.entry(timetable, "a", "every minute"))

    assert timetable.remove("a")
    assert not timetable.remove("a")
    clock.advance(120)
    timetable.run_pending()

    assert not journal.fires
    assert timetable.idle_seconds is None


def test_an_entry_removed_while_it_fires_does_not_come_back(timetable: Timetable, clock: Clock) -> None:
    journal = Journal()
    entry = journal.entry(timetable, "a", "every minute")
    entry.action = lambda fired: timetable.remove(fired.id)
    timetable.add(entry)

    clock.advance(60)
    timetable.run_pending()

    assert timetable.jobs == []
    assert timetable.idle_seconds is None


def test_a_replaced_entry_gives_way_to_the_new_one(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    timetable.add(journal.entry(timetable, "a", "every minute"))
    timetable.add(journal.entry(timetable, "a", "every 2 minutes"))

    for _ in range(4):
        clock.advance(60)
        timetable.run_pending()

    assert journal.instants("a") == [NOON_MS + 120_000, NOON_MS + 240_000]


def test_replacing_without_end_takes_no_more_room(timetable: Timetable, journal: Journal) -> None:
    for _ in range(1000):
        timetable.add(journal.entry(timetable, "a", "daily"))

    assert len(timetable._heap) < 100


def test_an_error_leaves_the_other_entries_and_its_own_for_later(
    timetable: Timetable, clock: Clock, journal: Journal
) -> None:
    journal.failing["bad"] = RuntimeError("no")
    timetable.add(journal.entry(timetable, "bad", "every minute"))
    timetable.add(journal.entry(timetable, "good", "every minute"))
    clock.advance(60)

    with pytest.raises(RuntimeError):
        timetable.run_pending()
    timetable.run_pending()
    assert journal.fires == [("good", NOON_MS + 60_000)]

    journal.failing.clear()
    clock.advance(1)
    timetable.run_pending()
    assert journal.instants("bad") == [NOON_MS + 60_000]


def test_the_library_shows_our_entries_and_its_global_scheduler_has_none(
    timetable: Timetable, journal: Journal
) -> None:
    entry = journal.entry(timetable, "a", "every 5 minutes")
    timetable.add(entry)

    assert timetable.get_jobs() == [entry]
    assert "5" in repr(entry)
    assert "minutes" in str(entry)
    assert entry.next_run == timetable.next_run
    assert not entry.should_run
    assert schedule.get_jobs() == []


def test_a_tick_does_not_look_at_entries_that_are_not_due(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    looks = 0

    def counting_clock() -> int:
        nonlocal looks
        looks += 1
        return clock()

    for n in range(1000):
        timetable.add(journal.entry(timetable, str(n), "daily"))
    timetable.clock_ms = counting_clock

    timetable.run_pending()

    assert looks <= 2
