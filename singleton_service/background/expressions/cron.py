"""Cron's five fields: minute, hour, day of the month, month, day of the week; in UTC. Pure: no clock, no state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from cronsim import CronSim, CronSimError

# What a field takes, and a value that is right in each.
_FIELDS = (
    ("minute", "0 to 59", "0"),
    ("hour", "0 to 23", "2"),
    ("day-of-month", "1 to 31, L for the last", "1"),
    ("month", "1 to 12 or JAN to DEC", "1"),
    ("day-of-week", "0 to 7 or SUN to SAT", "MON"),
)
_EXAMPLE = "0 2 * * *"
# Where to begin when it is asked whether it ever fires.
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cron:
    """When a schedule fires: at the minutes that match, by Debian's rules, in UTC.

    Attributes:
        text: the five fields in their one canonical form: one space between them, names of days and months in capitals.
        count: None, as the `unit`: there is no fixed interval between two instants.
    """

    text: str

    count: ClassVar[None] = None
    unit: ClassVar[None] = None

    def latest(self, now_ms: int) -> int:
        """Return the last instant at or before *now_ms*."""
        # It begins to look a second before what it is given.
        return _ms(next(CronSim(self.text, _at(now_ms // 1000 + 1), reverse=True)))

    def next_after(self, now_ms: int) -> int:
        """Return the first instant after *now_ms*."""
        return _ms(next(CronSim(self.text, _at(now_ms // 1000))))


def looks_like_cron(words: list[str]) -> bool:
    """Whether an expression of these words is meant for cron: it begins with a number or a star."""
    return bool(words) and words[0][0] in "*0123456789"


def parse_cron(words: list[str], shown: str) -> Cron:
    """Return when a cron expression of these *words* fires.

    Raises:
        ValueError: it has not five fields, one of them can't be used, or it would never fire; the message names the
            field, its rule, and the expression with that field put right. *shown* is the expression to be shown.
    """
    if len(words) != len(_FIELDS):
        names = " ".join(name for name, _, _ in _FIELDS)
        raise ValueError(
            f"Invalid cron expression: {shown}. It has {len(words)} fields, cron has five ({names}), as in '{_EXAMPLE}'"
        )
    fields = [word.upper() for word in words]
    for place, (name, rule, right) in enumerate(_FIELDS):
        alone = ["*"] * len(_FIELDS)
        alone[place] = fields[place]
        if not _is_sound(alone):
            neighbour = " ".join([*words[:place], right, *words[place + 1 :]])
            raise ValueError(
                f"Invalid cron expression: {shown}. The {name} {words[place]!r} can't be used: it is {rule}, *, a list "
                f"(1,2), a range (1-5) or a step (*/5), as in '{neighbour}'"
            )
    if not _is_sound(fields):
        neighbour = " ".join([*words[:2], "1", words[3], "*"])
        raise ValueError(
            f"Invalid cron expression: {shown}. Day-of-month {words[2]!r}, month {words[3]!r} and day-of-week "
            f"{words[4]!r} never come together, so it would never fire: '{neighbour}' does"
        )
    return Cron(" ".join(fields))


def _is_sound(fields: list[str]) -> bool:
    try:
        next(CronSim(" ".join(fields), _ANY_TIME))
    except (CronSimError, StopIteration, ValueError):
        return False
    return True


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _ms(instant: datetime) -> int:
    return round(instant.timestamp()) * 1000
