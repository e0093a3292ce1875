"""What schedules ought to do, worked out by looking at a clock minute by minute. Calls nothing of the code it judges.

An expression comes with what it means, written here a second time. "Once" and "each" are the two rules of
docs/explanation/daylight-saving.md.
"""

from __future__ import annotations

import calendar
import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
ZONES = (
    "Africa/Casablanca",  # back for Ramadan, on dates of the moon
    "America/Havana",  # at midnight: 00:00 is missing in spring, and comes twice in autumn
    "America/New_York",  # changed its dates in 2007
    "America/Sao_Paulo",  # midnight is missing in spring; gave it up in 2019
    "America/St_Johns",  # half an hour off, and until 2011 at 00:01
    "Antarctica/Troll",  # by two hours
    "Asia/Kolkata",  # half an hour off, no changes
    "Australia/Lord_Howe",  # by half an hour
    "Europe/Istanbul",  # by decree: a day later in 2011 and 2014, two weeks in 2015, for good in 2016
    "Pacific/Apia",  # left out the whole of 30 December 2011
)


@dataclass(frozen=True)
class Meaning:
    """An expression, and what it says of the clock on the wall.

    Attributes:
        once: by the rule "once"; else by "each".
        on: whether a date is one of its days.
        minutes: of those days.
    """

    text: str
    once: bool
    on: Callable[[date], bool]
    minutes: frozenset[int]

    def __repr__(self) -> str:
        return repr(self.text)

    def shows(self, wall: datetime) -> bool:
        return wall.hour * 60 + wall.minute in self.minutes and self.on(wall.date())


def minute_by_minute(meaning: Meaning, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Look at the clock at every minute from *start* to before *end*, and say when the expression is due."""
    # What the clock has shown before. In these years it never goes back by more than two hours.
    seen = max(on_the_wall(start - minutes * MINUTE, zone) for minutes in range(1, 4 * 60))
    now = start
    while now < end:
        wall = on_the_wall(now, zone)
        if not meaning.once:
            if meaning.shows(wall):
                yield now
        elif wall > seen:
            if any(meaning.shows(seen + MINUTE * n) for n in range(1, (wall - seen) // MINUTE + 1)):
                yield now
            seen = wall
        now += MINUTE


def day_by_day(meaning: Meaning, zone: ZoneInfo, uneven: set[date]) -> Iterator[datetime]:
    """Say when the expression is due in all the thirty years; minute by minute on *uneven* days only."""
    day = FIRST
    while day < LAST:
        if day.date() in uneven:
            yield from minute_by_minute(meaning, zone, day, day + DAY)
        else:
            wall = on_the_wall(day, zone)
            midnight = wall.replace(hour=0, minute=0)
            for each in (midnight, midnight + DAY):
                if meaning.on(each.date()):
                    due = (day + (each - wall) + minute * MINUTE for minute in sorted(meaning.minutes))
                    yield from (instant for instant in due if day <= instant < day + DAY)
        day += DAY


def uneven_days(zone: ZoneInfo) -> set[date]:
    """Return the days (of UTC) in which the zone's clock jumps, or the day before or after."""
    days, at = set(), FIRST - 2 * DAY
    offset = at.astimezone(zone).utcoffset()
    while at < LAST + 2 * DAY:
        if (new := at.astimezone(zone).utcoffset()) != offset:
            days |= {(at + n * DAY).date() for n in (-2, -1, 0, 1, 2)}
        offset = new
        at += HOUR
    return days


def on_the_wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


# Expressions

MINUTES = {
    "0": {0},
    "30": {30},
    "15,45": {15, 45},
    "50-59/3": {50, 53, 56, 59},
    "*": set(range(60)),
    "*/7": set(range(0, 60, 7)),
}
HOURS = {
    "*": set(range(24)),
    "*/2": set(range(0, 24, 2)),
    "0": {0},
    "2": {2},
    "1-3": {1, 2, 3},
    "0,12,23": {0, 12, 23},
}
MONTHS = {
    "*": set(range(1, 13)),
    "2": {2},
    "MAR-NOV": set(range(3, 12)),
    "*/3": {1, 4, 7, 10},
}
DAYS: dict[str, Callable[[date], bool]] = {
    "*": lambda _: True,
    "*/2": lambda day: day.day % 2 == 1,
    "1": lambda day: day.day == 1,
    "29": lambda day: day.day == 29,
    "31": lambda day: day.day == 31,
    "L": lambda day: day.day == calendar.monthrange(day.year, day.month)[1],
    "8-14": lambda day: 8 <= day.day <= 14,
    "25-31": lambda day: day.day >= 25,
}
WEEKDAYS: dict[str, Callable[[date], bool]] = {
    "*": lambda _: True,
    "SUN": lambda day: day.isoweekday() == 7,
    "7": lambda day: day.isoweekday() == 7,
    "0,FRI": lambda day: day.isoweekday() in {5, 7},
    "1-5": lambda day: day.isoweekday() <= 5,
    "SUN#2": lambda day: day.isoweekday() == 7 and 8 <= day.day <= 14,
    "0L": lambda day: day.isoweekday() == 7 and (day + 7 * DAY).month != day.month,
}
IN_WORDS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def any_meaning(dice: random.Random) -> Meaning:
    """Make up an expression: half of them cron's, half in words."""
    return _any_fields(dice) if dice.random() < 0.6 else _any_words(dice)


def _any_fields(dice: random.Random) -> Meaning:
    minute, hour, month = dice.choice([*MINUTES]), dice.choice([*HOURS]), dice.choice(["*", "*", *MONTHS])
    day, weekday = dice.choice(["*", "*", *DAYS]), dice.choice(["*", "*", *WEEKDAYS])
    if month == "2" and day == "31":
        day = "29"  # February has no 31st, which is refused
    both = day.startswith("*") or weekday.startswith("*")

    def on(when: date) -> bool:
        days = DAYS[day](when), WEEKDAYS[weekday](when)
        return when.month in MONTHS[month] and (all(days) if both else any(days))

    return Meaning(
        f"{minute} {hour} {day} {month} {weekday}",
        once=not minute.startswith("*") and not hour.startswith("*"),
        on=on,
        minutes=frozenset(60 * h + m for h, m in itertools.product(HOURS[hour], MINUTES[minute])),
    )


def _any_words(dice: random.Random) -> Meaning:
    times = [
        dice.choice([0, 1, 30, 90, 120, 135, 150, 180, 1439, dice.randrange(1440)])
        for _ in range(dice.choice([1, 1, 2]))
    ]
    at = " and ".join(f"{time // 60}:{time % 60:02}" for time in times)
    count, kind = dice.choice([1, 1, 2, 3]), dice.choice(["daily", "days", "on", "weeks"])
    chosen = dice.sample(range(7), dice.choice([1, 2]))
    weekdays = " and ".join(IN_WORDS[each] for each in chosen)

    def on(when: date) -> bool:
        if kind == "daily":
            return True
        if kind == "days":
            return (when - date(1970, 1, 1)).days % count == 0
        weeks = (when - date(1970, 1, 5)).days // 7
        return when.weekday() in chosen and (kind == "on" or weeks % count == 0)

    text = {
        "daily": f"daily at {at}",
        "days": f"every {count} days at {at}",
        "on": f"every {weekdays} at {at}",
        "weeks": f"every {count} weeks on {weekdays} at {at}",
    }[kind]
    return Meaning(text, once=True, on=on, minutes=frozenset(times))
