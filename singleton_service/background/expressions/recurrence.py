"""What every schedule's expression can be asked."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence(ABC):
    """When something happens again and again. Equal ones have the same instants, in every process.

    `parse(text, timezone)` gives it back. What takes and returns ms since 1970 is for machines; the rest, in aware
    datetimes, is for people. A naive datetime that is passed is local time, as `datetime.now()` is.

    Attributes:
        text: the expression in its one canonical form.
        timezone: the name of the zone whose clock it follows. An interval below a day follows none.
        count: how many of the unit lie between two instants; None, as the `unit`, where that changes.
        unit: "seconds", "minutes", "hours", "days" or "weeks".
    """

    text: str
    timezone: str = "UTC"
    count: int | None = None
    unit: str | None = None

    @abstractmethod
    def latest(self, now_ms: int) -> int:
        """Return the last instant at or before *now_ms*."""

    @abstractmethod
    def next_after(self, now_ms: int) -> int:
        """Return the first instant after *now_ms*."""

    @abstractmethod
    def describe(self) -> str:
        """Say in English when it is: "At 09:00 on Monday (Europe/Berlin)"."""

    def runs_after(self, since: datetime) -> Iterator[datetime]:
        """Go through the instants after *since*, in UTC, for as long as it is asked or until the year 9999 ends."""
        now_ms = to_ms(since)
        while True:
            try:
                now_ms = self.next_after(now_ms)
                run = to_instant(now_ms)
            except OverflowError:
                return  # Python's calendar goes no further
            yield run

    def next_runs(self, since: datetime, n: int) -> list[datetime]:
        """Return the first *n* instants after *since*, in UTC; fewer where the year 9999 ends."""
        return list(itertools.islice(self.runs_after(since), n))

    def runs_between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Go through the instants after *after* up to *until*, that one included, in UTC; lazily."""
        end_ms = to_ms(until)
        return itertools.takewhile(lambda run: to_ms(run) <= end_ms, self.runs_after(after))

    def latest_at_or_before(self, moment: datetime) -> datetime:
        """Return the last instant at or before a moment, in UTC."""
        return to_instant(self.latest(to_ms(moment)))


def to_instant(ms: int) -> datetime:
    """Return the instant so many ms after 1970."""
    return EPOCH + ms * _MS


def to_ms(moment: datetime) -> int:
    """Return the ms from 1970 to a moment."""
    return (moment.astimezone(UTC) - EPOCH) // _MS
