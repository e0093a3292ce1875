"""Every so many days or weeks, at times that a clock on the wall shows. Pure."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .local_time import latest_once, next_once
from .recurrence import Recurrence, to_instant, to_ms
from .zones import find_zone

if TYPE_CHECKING:
    from collections.abc import Iterator

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_MINUTES = 24 * 60
_MINUTE = timedelta(minutes=1)
# Days are counted from the first of 1970, as intervals are; weeks from the first Monday after it.
_FIRST_DAY = datetime(1970, 1, 1)  # noqa: DTZ001 - what a clock shows has no zone
_FIRST_MONDAY = datetime(1970, 1, 5)  # noqa: DTZ001 - the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar(Recurrence):
    """At certain times of certain days, by the clock of a zone; each once, whatever that clock does.

    Attributes:
        cycle_days: after so many days it begins again.
        of_weeks: whether the first day of a cycle is a Monday.
        slots: minutes into the cycle, in order.
    """

    cycle_days: int
    of_weeks: bool
    slots: tuple[int, ...]

    def latest(self, now_ms: int) -> int:
        """Return the last instant at or before *now_ms*."""
        return to_ms(latest_once(self._walls_until, to_instant(now_ms), find_zone(self.timezone)))

    def next_after(self, now_ms: int) -> int:
        """Return the first instant after *now_ms*."""
        return to_ms(next_once(self._walls_after, to_instant(now_ms), find_zone(self.timezone)))

    def describe(self) -> str:
        """Say in English when it is: "Every Monday at 09:00 (Europe/Berlin)"."""
        said = self.text.replace("daily", "every day")
        for day in (*WEEKDAYS, "every"):
            said = said.replace(day, day.capitalize())
        return f"{said} ({self.timezone})"

    def _walls_after(self, wall: datetime) -> Iterator[datetime]:
        cycle, place = self._place(wall)
        while True:
            for slot in self.slots[place:]:
                yield self._wall(cycle, slot)
            cycle, place = cycle + 1, 0

    def _walls_until(self, wall: datetime) -> Iterator[datetime]:
        cycle, place = self._place(wall)
        while True:
            for slot in reversed(self.slots[:place]):
                yield self._wall(cycle, slot)
            cycle, place = cycle - 1, len(self.slots)

    def _place(self, wall: datetime) -> tuple[int, int]:
        """Return the cycle in which a wall lies, and how many of that cycle's slots are not after it."""
        cycle, minute = divmod((wall - self._first) // _MINUTE, self.cycle_days * _DAY_MINUTES)
        return cycle, bisect.bisect_right(self.slots, minute)

    def _wall(self, cycle: int, slot: int) -> datetime:
        return self._first + (cycle * self.cycle_days * _DAY_MINUTES + slot) * _MINUTE

    @property
    def _first(self) -> datetime:
        return _FIRST_MONDAY if self.of_weeks else _FIRST_DAY


def every_days(count: int, times: list[int], timezone: str) -> Calendar:
    """Return what happens every so many days; *times* are minutes of the day."""
    slots = tuple(sorted(set(times)))
    text = "daily" if count == 1 else f"every {count} days"
    return Calendar(
        text=f"{text} at {_clock(slots)}",
        timezone=timezone,
        count=count if len(slots) == 1 else None,
        unit="days" if len(slots) == 1 else None,
        cycle_days=count,
        of_weeks=False,
        slots=slots,
    )


def every_weeks(count: int, weekdays: set[int], times: list[int], timezone: str) -> Calendar:
    """Return what happens every so many weeks; of *weekdays*, Monday is 0; *times* are minutes of the day."""
    if count == 1 and len(weekdays) == len(WEEKDAYS):
        return every_days(1, times, timezone)
    slots = tuple(sorted({day * _DAY_MINUTES + time for day in weekdays for time in times}))
    named = weekdays != set(range(5))
    days = _listed([WEEKDAYS[day] for day in sorted(weekdays)]) if named else "weekday"
    text = f"every {days}" if count == 1 else f"every {count} weeks on {days}{'' if named else 's'}"
    return Calendar(
        text=f"{text} at {_clock(sorted(set(times)))}",
        timezone=timezone,
        count=count if len(slots) == 1 else None,
        unit="weeks" if len(slots) == 1 else None,
        cycle_days=7 * count,
        of_weeks=True,
        slots=slots,
    )


def _clock(minutes: tuple[int, ...] | list[int]) -> str:
    return _listed([f"{minute // 60:02}:{minute % 60:02}" for minute in minutes])


def _listed(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
