"""From an expression to the instants at which it fires. Pure: no clock, no state.

Instants are multiples of the interval since 1970 UTC, or what cron's fields say, so that every process computes the
same ones, whenever it started. All times here are ms since 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from .cron import Cron, looks_like_cron, parse_cron

_UNITS_S = {"second": 1, "minute": 60, "hour": 3600}
_DAY_S = 24 * 3600
LONGEST_S = 366 * _DAY_S
# No valid expression comes near; the rest is not worth taking apart.
_MAX_CHARS = 100

_COUNT = re.compile(r"[0-9]{1,9}")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_VALID = (
    "Use 'hourly', 'daily', 'daily at 02:00', 'every 30 seconds', 'every 5 minutes', 'every 2 hours', cron's five "
    "fields '0 2 * * *', or a timedelta"
)


@dataclass(frozen=True, slots=True)
class Interval:
    """When a schedule fires: every so often, counted from 1970 UTC plus an offset.

    Attributes:
        text: the expression in its one canonical form: "hourly" and "every 1 hours" are both "every hour".
        count: how many of the unit lie between two instants.
        unit: "seconds", "minutes", "hours" or "days".
    """

    text: str
    count: int
    unit: str
    interval_ms: int
    offset_ms: int = 0

    def latest(self, now_ms: int) -> int:
        """Return the last instant at or before *now_ms*."""
        return now_ms - (now_ms - self.offset_ms) % self.interval_ms

    def next_after(self, now_ms: int) -> int:
        """Return the first instant after *now_ms*."""
        return self.latest(now_ms) + self.interval_ms


Recurrence = Interval | Cron
"""When a schedule fires."""


def parse(expression: object) -> Recurrence:
    """Return when an expression fires.

    "hourly", "daily" (00:00 UTC), "daily at HH:MM" (UTC), "every minute", "every 30 seconds", "every 5 minutes",
    "every 2 hours", in any case and spacing; the five fields of cron, "0 2 * * *" (UTC); or a `timedelta` of whole
    seconds.

    Raises:
        ValueError: it is none of these, its interval is not between 1 second and 366 days, or it would never fire.
        TypeError: it is neither text nor a timedelta.
    """
    if isinstance(expression, timedelta):
        return _from_timedelta(expression)
    if not isinstance(expression, str):
        raise TypeError(f"expression {expression!r} is of type {type(expression).__name__}, no text. {_VALID}")
    words = expression.lower().split() if len(expression) <= _MAX_CHARS else []
    shown = _shown(expression)
    if looks_like_cron(words):
        return parse_cron(words, shown)
    return _in_words(words, shown)


def _in_words(words: list[str], shown: str) -> Interval:
    match words:
        case ["daily"]:
            return _daily(0, 0)
        case ["daily", "at", at]:
            found = _TIME.fullmatch(at)
            if not found:
                raise ValueError(
                    f"Invalid cron expression: {shown}. The time is HH:MM, 00:00 to 23:59 in UTC: 'daily at 02:00'"
                )
            return _daily(int(found[1]), int(found[2]))
        case ["hourly"]:
            return _every(1, "hour")
        case ["every", unit] if unit in _UNITS_S:
            return _every(1, unit)
        case ["every"] | ["every", _]:
            raise ValueError(f"Invalid cron expression: {shown}. After 'every' come a number and a unit. {_VALID}")
        case ["every", count, unit]:
            return _counted(count, unit, shown)
    raise ValueError(f"Unsupported cron expression: {shown}. {_VALID}")


def _counted(count: str, unit: str, shown: str) -> Interval:
    if not _COUNT.fullmatch(count):
        raise ValueError(f"Invalid cron expression: {shown}. {_shown(count)!r} is no whole number. {_VALID}")
    singular = unit.removesuffix("s")
    if singular not in _UNITS_S:
        raise ValueError(
            f"Unsupported time unit: {_shown(unit)}, in {shown!r}. The units are seconds, minutes and hours; "
            "other intervals are written as a timedelta"
        )
    if not 1 <= int(count) * _UNITS_S[singular] <= LONGEST_S:
        raise ValueError(
            f"Invalid cron expression: {shown}. The interval is at least 1 second and at most 366 days. {_VALID}"
        )
    return _every(int(count), singular)


def _from_timedelta(interval: timedelta) -> Interval:
    seconds, rest = divmod(interval, timedelta(seconds=1))
    if rest or not 1 <= seconds <= LONGEST_S:
        raise ValueError(
            f"Invalid cron expression: {interval!r}. A timedelta is of whole seconds, at least 1 second and at most "
            "366 days: timedelta(minutes=5)"
        )
    unit = next(unit for unit in ("hour", "minute", "second") if seconds % _UNITS_S[unit] == 0)
    return _every(seconds // _UNITS_S[unit], unit)


def _every(count: int, unit: str) -> Interval:
    text = f"every {unit}" if count == 1 else f"every {count} {unit}s"
    return Interval(text, count, f"{unit}s", count * _UNITS_S[unit] * 1000)


def _daily(hour: int, minute: int) -> Interval:
    return Interval(f"daily at {hour:02}:{minute:02}", 1, "days", _DAY_S * 1000, (hour * 60 + minute) * 60_000)


def _shown(text: str) -> str:
    short = text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"
    return short if short.isprintable() else ascii(short)[1:-1]
