"""Which instants are fired, late, missed or made up for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from singleton_service.background.expressions import parse
from singleton_service.background.scheduler.definition import Definition
from singleton_service.background.scheduler.plan import LATE_MS, MOST_MADE_UP, plan_fires

from .conftest import NOON_MS

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def definition(expression: str, **options: Any) -> Definition:
    return Definition("tick", b"{}", parse(expression), "default", **options)


@pytest.mark.parametrize("missed", ["one", "skip", "all"])
def test_an_instant_that_just_came_is_fired_and_none_is_missed(missed: Any) -> None:
    plan = plan_fires(definition("every minute", missed=missed), NOON_MS, NOON_MS + 3, 0)

    assert (plan.fires, plan.missed, plan.next_ms) == ((NOON_MS,), 0, NOON_MS + MINUTE_MS)


def test_what_is_a_little_late_is_fired_each() -> None:
    plan = plan_fires(definition("every second", missed="skip"), NOON_MS, NOON_MS + 3100, 0)

    assert plan.fires == tuple(NOON_MS + n * 1000 for n in range(4))
    assert plan.missed == 0


@pytest.mark.parametrize(
    ("missed", "fires", "count"),
    [("one", (NOON_MS + 180 * MINUTE_MS,), 180), ("skip", (), 181), ("all", None, 181 - MOST_MADE_UP)],
)
def test_after_three_hours_it_is_as_the_schedule_says(missed: Any, fires: tuple[int, ...] | None, count: int) -> None:
    now_ms = NOON_MS + 180 * MINUTE_MS + LATE_MS + 1

    plan = plan_fires(definition("every minute", missed=missed), NOON_MS, now_ms, 0)

    if fires is None:
        fires = tuple(NOON_MS + n * MINUTE_MS for n in range(81, 181))
    assert (plan.fires, plan.missed, plan.next_ms) == (fires, count, NOON_MS + 181 * MINUTE_MS)


def test_one_is_not_made_up_for_when_a_younger_one_is_fired_anyway() -> None:
    plan = plan_fires(definition("every minute"), NOON_MS, NOON_MS + 5 * MINUTE_MS + 1, 0)

    assert (plan.fires, plan.missed) == ((NOON_MS + 5 * MINUTE_MS,), 5)


def test_a_schedule_older_than_a_day_is_made_up_for_as_the_stored_instant_says() -> None:
    plan = plan_fires(definition("0 2 * * mon"), NOON_MS, NOON_MS + 3 * DAY_MS, 0)

    assert len(plan.fires) == 1


def test_no_more_than_a_thousand_are_looked_at() -> None:
    plan = plan_fires(definition("every second"), NOON_MS, NOON_MS + 300 * DAY_MS + LATE_MS, 0)

    assert len(plan.fires) + plan.missed == 1000
    assert plan.next_ms == NOON_MS + 300 * DAY_MS + LATE_MS + 1000


def test_bounds_are_kept() -> None:
    bounded = definition("every minute", start_ms=NOON_MS + 1, until_ms=NOON_MS + 2 * MINUTE_MS)
    assert bounded.next_after(0) == NOON_MS + MINUTE_MS

    plan = plan_fires(bounded, NOON_MS + MINUTE_MS, NOON_MS + 30 * MINUTE_MS, 0)

    assert (plan.fires, plan.missed, plan.next_ms) == ((NOON_MS + 2 * MINUTE_MS,), 1, None)


def test_no_more_are_fired_than_are_left() -> None:
    plan = plan_fires(definition("every second", max_runs=5), NOON_MS, NOON_MS + 4000, 3)

    assert (plan.fires, plan.missed) == ((NOON_MS, NOON_MS + 1000), 0)


def test_a_stored_instant_that_the_rules_no_longer_know_is_fired_all_the_same() -> None:
    plan = plan_fires(definition("daily at 13:00"), NOON_MS, NOON_MS + 1, 0)

    assert (plan.fires, plan.next_ms) == ((NOON_MS,), NOON_MS + 60 * MINUTE_MS)


@given(
    st.sampled_from(["every second", "every 7 minutes", "hourly", "0 2 * * *", "daily at 02:00"]),
    st.sampled_from(["one", "skip", "all"]),
    st.integers(0, 40 * DAY_MS),
)
def test_whatever_the_delay_each_instant_is_fired_or_missed_once(expression: str, missed: Any, late_ms: int) -> None:
    schedule = definition(expression, missed=missed)
    first = schedule.next_after(NOON_MS)
    assert first is not None
    now_ms = first + late_ms

    plan = plan_fires(schedule, first, now_ms, 0)

    assert list(plan.fires) == sorted(set(plan.fires))
    assert all(first <= instant <= now_ms for instant in plan.fires)
    assert plan.next_ms is not None
    assert plan.next_ms > now_ms
    expected, instant = 0, first
    while instant <= now_ms and expected < 1000:
        expected += 1
        following = schedule.next_after(instant)
        assert following is not None
        instant = following
    assert len(plan.fires) + plan.missed == expected
