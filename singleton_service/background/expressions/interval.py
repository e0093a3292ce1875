"""Every so many seconds, minutes or hours: elapsed time, on no clock. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from .errors import INVALID, ExpressionError
from .recurrence import Recurrence

UNITS_S = {"second": 1, "minute": 60, "hour": 3600}
LONGEST_S = 366 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval(Recurrence):
    """At the multiples of an interval since 1970 UTC.

    Attributes:
        interval_ms: from each instant to the next.
    """

    interval_ms: int

    def latest(self, now_ms: int) -> int:
        """Return the last instant at or before *now_ms*."""
        return now_ms - now_ms % self.interval_ms

    def next_after(self, now_ms: int) -> int:
        """Return the first instant after *now_ms*."""
        return self.latest(now_ms) + self.interval_ms

    def describe(self) -> str:
        """Say in English when it is: "Every 5 minutes"."""
        return self.text.capitalize()


def every(count: int, unit: str, timezone: str) -> Interval:
    """Return what happens every *count* of a unit, which is given in the singular."""
    return Interval(
        text=f"every {unit}" if count == 1 else f"every {count} {unit}s",
        timezone=timezone,
        count=count,
        unit=f"{unit}s",
        interval_ms=count * UNITS_S[unit] * 1000,
    )


def every_seconds(seconds: int, timezone: str) -> Interval:
    """Return what happens every so many seconds, in the largest unit that divides them."""
    unit = next(unit for unit in ("hour", "minute", "second") if seconds % UNITS_S[unit] == 0)
    return every(seconds // UNITS_S[unit], unit, timezone)


def from_timedelta(interval: timedelta, timezone: str) -> Interval:
    """Return what happens at the multiples of a timedelta.

    Raises:
        ExpressionError: it is not of whole seconds, or not between 1 second and 366 days.
    """
    seconds, rest = divmod(interval, timedelta(seconds=1))
    if rest or not 1 <= seconds <= LONGEST_S:
        near = timedelta(seconds=min(max(round(interval / timedelta(seconds=1)), 1), LONGEST_S))
        rule = "A timedelta is of whole seconds, at least 1 second and at most 366 days"
        raise ExpressionError(INVALID, repr(interval), 0, 0, rule, repr(near).removeprefix("datetime."))
    return every_seconds(seconds, timezone)
