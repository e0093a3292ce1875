from __future__ import annotations

import random
from typing import TYPE_CHECKING

import schedule

from singleton_service.background.scheduler.timetable import MOST_AT_ONCE

from .conftest import NOON_MS, Clock, Journal

if TYPE_CHECKING:
    from singleton_service.background.scheduler.timetable import Timetable


def test_an_entry_fires_at_its_instant_and_not_before(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    clock.advance(0.5)
    journal.add("a", "every 10 seconds")

    clock.advance(9.499)
    timetable.run_pending()
    assert not journal.fires

    clock.advance(0.001)
    timetable.run_pending()
    assert journal.fires == [("a", NOON_MS + 10_000)]


def test_entries_fire_in_the_order_of_their_instants(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    for seconds in random.Random(1).sample(range(1, 61), 60):
        journal.add(str(seconds), f"every {60 + seconds} minutes")

    fired_before = 0
    for _ in range(121):
        clock.advance(60)
        timetable.run_pending()
        assert all(instant == clock() for _, instant in journal.fires[fired_before:]), "each at its own minute"
        fired_before = len(journal.fires)
    assert {schedule_id for schedule_id, _ in journal.fires} == {str(n) for n in range(1, 61)}


def test_many_that_are_due_are_seen_to_a_few_at_a_time(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    for n in range(2 * MOST_AT_ONCE + 1):
        journal.add(str(n), "every minute")
    clock.advance(60)

    timetable.run_pending()

    assert journal.batches == [MOST_AT_ONCE, MOST_AT_ONCE, 1]


def test_an_entry_put_off_is_tried_again_and_counts_its_failures(timetable: Timetable, clock: Clock) -> None:
    journal = Journal(clock)
    timetable = journal.timetable
    journal.add("a", "every 10 seconds")
    clock.advance(10)
    (entry,) = timetable.take_due()
    assert timetable.take_due() == []

    timetable.put_off(entry, 3)
    assert timetable.idle_seconds == 3
    assert entry.failures == 1
    clock.advance(3)
    timetable.run_pending()

    assert journal.fires == [("a", NOON_MS + 10_000)], "the instant that failed, not lost"
    assert entry.failures == 0


def test_a_removed_entry_does_not_fire(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    journal.add("a", "every minute")

    assert timetable.remove("a")
    assert not timetable.remove("a")
    clock.advance(120)
    timetable.run_pending()

    assert not journal.fires
    assert timetable.idle_seconds is None


def test_an_entry_removed_while_it_fires_does_not_come_back(
    timetable: Timetable, clock: Clock, journal: Journal
) -> None:
    journal.add("a", "every minute")
    clock.advance(60)
    (entry,) = timetable.take_due()

    timetable.remove("a")
    timetable.arm(entry, NOON_MS, 1)
    timetable.put_off(entry, 0)

    assert timetable.jobs == []
    assert timetable.idle_seconds is None


def test_a_replaced_entry_gives_way_to_the_new_one(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    journal.add("a", "every minute")
    journal.add("a", "every 2 minutes")

    for _ in range(4):
        clock.advance(60)
        timetable.run_pending()

    assert journal.fires == [("a", NOON_MS + 120_000), ("a", NOON_MS + 240_000)]


def test_replacing_without_end_takes_no_more_room(timetable: Timetable, journal: Journal) -> None:
    for _ in range(1000):
        journal.add("a", "daily")

    assert len(timetable._heap) < 100
    timetable.empty()
    assert (timetable.jobs, timetable.first_due_ms()) == ([], None)


def test_the_library_shows_our_entries_and_its_global_scheduler_has_none(
    timetable: Timetable, clock: Clock, journal: Journal
) -> None:
    entry = journal.add("a", "every 5 minutes")

    assert timetable.get_jobs() == [entry]
    assert "5" in repr(entry)
    assert "minutes" in str(entry)
    assert entry.next_run == timetable.next_run
    assert not entry.should_run
    assert schedule.get_jobs() == []
    clock.advance(300)
    assert entry.should_run
    timetable.take_due()
    entry.run()
    assert journal.fires == [("a", NOON_MS + 300_000)]


def test_a_tick_does_not_look_at_entries_that_are_not_due(timetable: Timetable, clock: Clock, journal: Journal) -> None:
    looks = 0

    def counting_clock() -> int:
        nonlocal looks
        looks += 1
        return clock()

    for n in range(1000):
        journal.add(str(n), "daily")
    timetable.clock_ms = counting_clock

    timetable.run_pending()

    assert looks <= 2
