"""Expressions in ten zones, over thirty years, against a clock that is looked at minute by minute."""

from __future__ import annotations

import bisect
import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from singleton_service.background.expressions import parse

from .enumeration import DAY, FIRST, LAST, ZONES, any_meaning, minute_by_minute, uneven_days

SECOND, MS = timedelta(seconds=1), timedelta(milliseconds=1)
DRAWS = 50


@pytest.mark.parametrize("zone", ZONES)
def test_runs_are_those_of_a_clock_that_is_looked_at_minute_by_minute(zone: str) -> None:
    jumps = sorted(uneven_days(ZoneInfo(zone)))
    for draw in range(DRAWS):
        dice = random.Random(f"{zone} {draw}")
        meaning = any_meaning(dice)
        start = FIRST + dice.randrange((LAST - FIRST).days) * DAY
        if jumps and dice.random() < 0.8:
            start = start.combine(dice.choice(jumps), start.timetz())
        end = start + dice.choice([1, 2]) * DAY
        expected = list(minute_by_minute(meaning, ZoneInfo(zone), start, end))
        recurrence = parse(meaning.text, zone)
        place = f"{meaning} in {zone} from {start}"

        assert list(recurrence.runs_between(start - SECOND, end - SECOND)) == expected, place
        for _ in range(10):
            moment = start + dice.randrange((end - start) // MS) * MS
            before = bisect.bisect_right(expected, moment)
            (following,), latest = recurrence.next_runs(moment, 1), recurrence.latest_at_or_before(moment)
            assert following == expected[before] if before < len(expected) else following >= end, (place, moment)
            assert latest == expected[before - 1] if before else latest < start, (place, moment)
        for instant in expected[:10]:
            assert recurrence.latest_at_or_before(instant) == instant, place
            assert recurrence.next_runs(instant - MS, 1) == [instant], place
