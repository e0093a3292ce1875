"""Cron's five fields: minute, hour, day of the month, month, day of the week, by the clock of a zone. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cronsim import CronSim

from .local_time import latest_each, latest_once, next_each, next_once
from .recurrence import Recurrence, to_instant, to_ms
from .zones import find_zone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_SECOND = timedelta(seconds=1)
# cronsim says "the 21th day of month".
_ORDINAL = re.compile(r"\b([2-9]?)([123])th\b")
_DAY_OF = re.compile(r"\bday of (month|week)\b")
_ENDINGS = {"1": "st", "2": "nd", "3": "rd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron(Recurrence):
    """At the minutes that match, by Debian's rules: the library `cronsim` reads the fields.

    It is asked what a clock on the wall shall show. When it shows that is our own matter: the library's answers for
    times that come twice can lie in the past.
    """

    @property
    def is_fixed(self) -> bool:
        """Whether it is for certain times of the day, each due once; what begins with a star just follows the clock."""
        minute, hour = self.text.split()[:2]
        return not minute.startswith("*") and not hour.startswith("*")

    def latest(self, now_ms: int) -> int:
        """Return the last instant at or before *now_ms*."""
        latest = latest_once if self.is_fixed else latest_each
        return to_ms(latest(self._walls_until, to_instant(now_ms), find_zone(self.timezone)))

    def next_after(self, now_ms: int) -> int:
        """Return the first instant after *now_ms*."""
        following = next_once if self.is_fixed else next_each
        return to_ms(following(self._walls_after, to_instant(now_ms), find_zone(self.timezone)))

    def describe(self) -> str:
        """Say in English when it is: "At 09:00 on Monday (Europe/Berlin)"."""
        said = CronSim(self.text, to_instant(0)).explain()
        said = _DAY_OF.sub(r"day of the \1", said)
        said = _ORDINAL.sub(lambda found: f"{found[1]}{found[2]}{_ENDINGS[found[2]]}", said)
        return f"{said} ({self.timezone})"

    def _walls_after(self, wall: datetime) -> Iterator[datetime]:
        return CronSim(self.text, wall)

    def _walls_until(self, wall: datetime) -> Iterator[datetime]:
        # It begins to look a second before what it is given.
        return CronSim(self.text, wall.replace(microsecond=0) + _SECOND, reverse=True)
