"""Reading expressions in words: "every 5 minutes", "daily at 02:00", "every monday and friday at 09:00". Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .calendar_days import WEEKDAYS, every_days, every_weeks
from .errors import INVALID, UNSUPPORTED, UNSUPPORTED_UNIT, ExpressionError
from .interval import LONGEST_S, UNITS_S, Interval, every, every_seconds
from .meant import LONGER, beginning, meant_number, meant_time, near

if TYPE_CHECKING:
    from .recurrence import Recurrence

FORMS = (
    "'every 30 seconds', 'every 2 hours', 'daily at 02:00', 'every monday at 09:00', 'every 2 weeks on friday', a "
    "timedelta, or cron's five fields '0 2 * * *'"
)
_LENGTHS_S = {**UNITS_S, "day": 24 * 3600, "week": 7 * 24 * 3600}
_PLURALS = tuple(f"{unit}s" for unit in _LENGTHS_S)
_WORD = re.compile(r",|[^ ,]+")
_COUNT = re.compile(r"[0-9]{1,9}")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DAYS = {name: {number} for number, day in enumerate(WEEKDAYS) for name in (day, f"{day}s", day[:3])}
_DAYS |= {name: set(range(5)) for name in ("weekday", "weekdays")}
_MIDNIGHT = [0]
_MOST_TIMES = 24
# What is proposed when nothing near is right.
ANYTHING = "every 5 minutes"
# The longest canonical form there is has some 250. It must be taken back, so what comes in may be as long.
MAX_CHARS = 300
_NO_LENGTH = "Months and years differ in length, so that is written for cron"


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int


def parse_words(text: str, timezone: str) -> Recurrence:
    """Return when an expression in words fires; *text* has single spaces.

    Raises:
        ExpressionError: it is none.
    """
    try:
        return _Reader(text, timezone).read()
    except ExpressionError as error:
        neighbour = _repaired(error.neighbour)
        raise ExpressionError(error.kind, error.text, error.start, error.end, error.rule, neighbour) from None


def _repaired(text: str) -> str:
    """Return an expression that is right up to a point, with what comes after it put right, too."""
    for _ in range(MAX_CHARS):
        if len(text) > MAX_CHARS:
            break
        if text.startswith(("@", "0")):
            return text  # one of cron's
        try:
            _Reader(text, "UTC").read()
        except ExpressionError as error:
            text = error.neighbour
        else:
            return text
    return ANYTHING


class _Reader:
    """Goes through the words of one expression. The neighbours of its errors are right up to the word they point at."""

    def __init__(self, text: str, timezone: str) -> None:
        self.text = text
        self.timezone = timezone
        self.words = [_Word(found[0].lower(), found.start(), found.end()) for found in _WORD.finditer(text)]
        # What a missing word is, and where.
        self.words.append(_Word("", len(text), len(text) + 1))
        self.at = 0

    def read(self) -> Recurrence:
        match self._take().text:
            case "hourly":
                found: Recurrence = every(1, "hour", self.timezone)
            case "daily":
                found = every_days(1, self._times(), self.timezone)
            case "every":
                found = self._every()
            case _:
                raise self._no_beginning()
        if self._word.text:
            raise self._no_end(found)
        return found

    def _every(self) -> Recurrence:
        word = self._word
        if word.text in _LENGTHS_S:
            return self._counted(1)
        if word.text in _DAYS:
            return every_weeks(1, self._weekdays(), self._times(), self.timezone)
        if not _COUNT.fullmatch(word.text):
            raise self._no_count(word)
        self._take()
        return self._counted(int(word.text))

    def _counted(self, count: int) -> Recurrence:
        word = self._take()
        unit = word.text.removesuffix("s")
        if unit not in _LENGTHS_S:
            raise self._no_unit(word)
        if not 1 <= count * _LENGTHS_S[unit] <= LONGEST_S:
            number = self.words[self.at - 2]
            right = str(LONGEST_S // _LENGTHS_S[unit] if count else 1)
            raise self._error(number, "An interval is at least 1 second and at most 366 days", right)
        if unit in UNITS_S:
            return every(count, unit, self.timezone)
        if unit == "day":
            return every_days(count, self._times(), self.timezone)
        weekdays = {0}
        if self._word.text == "on":
            self._take()
            weekdays = self._weekdays()
        return every_weeks(count, weekdays, self._times(), self.timezone)

    def _weekdays(self) -> set[int]:
        days: set[int] = set()
        while True:
            word = self._take()
            if word.text not in _DAYS:
                right = near(word.text, WEEKDAYS) or "monday"
                raise self._error(word, f"The days of the week are {', '.join(WEEKDAYS)}", right)
            days |= _DAYS[word.text]
            if not self._goes_on():
                return days

    def _times(self) -> list[int]:
        if self._word.text != "at":
            return _MIDNIGHT
        self._take()
        times = []
        while True:
            word = self._take()
            found = _TIME.fullmatch(word.text)
            if not found:
                raise self._error(word, "A time is HH:MM, 00:00 to 23:59", meant_time(word.text) or "02:00")
            times.append(int(found[1]) * 60 + int(found[2]))
            if not self._goes_on():
                return times
            if len(times) == _MOST_TIMES:
                cut = self.text[: self.words[self.at - 2].end]
                rule = (
                    f"There are at most {_MOST_TIMES} times of day; cron's fields say more, as '*/20 9-17 * * *' does"
                )
                raise ExpressionError(INVALID, self.text, self._word.start, self._word.end, rule, cut)

    def _goes_on(self) -> bool:
        """Take what stands between the parts of a list, if there is another part."""
        comma = self._word.text == ","
        self.at += comma
        spoken = self._word.text == "and"
        self.at += spoken
        return comma or spoken

    @property
    def _word(self) -> _Word:
        return self.words[self.at]

    def _take(self) -> _Word:
        word = self._word
        self.at = min(self.at + 1, len(self.words) - 1)
        return word

    def _no_beginning(self) -> ExpressionError:
        word = self.words[0]
        rule = f"Use {FORMS}"
        if not word.text:
            return ExpressionError(UNSUPPORTED, self.text, 0, 0, rule, ANYTHING)
        if word.text in _DAYS or word.text in _PLURALS:
            return self._error(word, rule, f"every {word.text}", UNSUPPORTED)
        right = beginning(word.text)
        if right is None or right.startswith("@"):
            return ExpressionError(UNSUPPORTED, self.text, word.start, word.end, rule, right or ANYTHING)
        return self._error(word, rule, right, UNSUPPORTED)

    def _no_count(self, word: _Word) -> ExpressionError:
        following = self.words[min(self.at + 1, len(self.words) - 1)]
        unit = following.text.removesuffix("s")
        rule = "After 'every' come a whole number and a unit, a unit alone, or days of the week"
        if (number := meant_number(word.text)) is not None:
            if unit not in _LENGTHS_S:
                return self._error(word, rule, str(min(max(round(number), 1), LONGEST_S)))
            seconds = min(max(round(number * _LENGTHS_S[unit]), 1), LONGEST_S)
            right = every_seconds(seconds, "UTC").text.removeprefix("every ")
            neighbour = f"{self.text[: word.start]}{right}{self.text[following.end :]}"
            return ExpressionError(INVALID, self.text, word.start, word.end, rule, neighbour)
        if (fields := LONGER.get(word.text.removesuffix("s"))) is not None:
            return ExpressionError(INVALID, self.text, word.start, word.end, _NO_LENGTH, fields)
        if unit in _LENGTHS_S:
            return self._error(word, rule, "5")
        return self._error(word, rule, near(word.text, (*_LENGTHS_S, *WEEKDAYS)) or "5 minutes")

    def _no_unit(self, word: _Word) -> ExpressionError:
        rule = "The units are seconds, minutes, hours, days and weeks"
        if not word.text:
            return self._error(word, rule, "minutes")
        if (fields := LONGER.get(word.text.removesuffix("s"))) is not None:
            return ExpressionError(UNSUPPORTED_UNIT, self.text, word.start, word.end, _NO_LENGTH, fields)
        right = f"weeks on {word.text}" if word.text in _DAYS else near(word.text, _PLURALS) or "minutes"
        return self._error(word, rule, right, UNSUPPORTED_UNIT)

    def _no_end(self, found: Recurrence) -> ExpressionError:
        word, last = self._word, self.words[self.at - 1]
        rule, right = f"{self.text[: last.end]!r} is complete, nothing comes after it", ""
        if word.text == "in" or "/" in word.text:
            rule = "A time zone is an argument of its own, timezone='Europe/Berlin'"
        elif last.text == "second" and word.text in _DAYS:
            neighbour = f"every 2 weeks on {self.text[word.start :]}"
            rule = "Every second one is written with weeks"
            return ExpressionError(INVALID, self.text, last.start, last.end, rule, neighbour)
        elif word.text == "at":
            rule = "Only days and weeks have a time of day"
        elif not isinstance(found, Interval) and (time := meant_time(word.text)) is not None:
            rule, right = "Before a time comes 'at'", f" at {time}"
        elif (time := meant_time(last.text + word.text)) is not None:
            rule, right = "A time is HH:MM, 00:00 to 23:59", f" {time}"
            last = self.words[self.at - 2]
        neighbour = self.text[: last.end] + right
        return ExpressionError(INVALID, self.text, word.start, word.end, rule, neighbour)

    def _error(self, word: _Word, rule: str, right: str, kind: str = INVALID) -> ExpressionError:
        """Return the error that points at a word; with *right* in its place the expression is right up to there."""
        space = "" if word.text or not self.text else " "
        neighbour = f"{self.text[: word.start]}{space}{right}{self.text[word.end :]}"
        return ExpressionError(kind, self.text, word.start, word.end, rule, neighbour)
