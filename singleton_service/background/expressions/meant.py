"""What words that are none here may have been meant to be: for proposals only, never to act on. Pure."""

from __future__ import annotations

import difflib
import math
import re

_TIME = re.compile(r"([01]?[0-9]|2[0-4])(?:[:.h]?([0-5][0-9]))?([ap]m)?")
_SPOKEN_TIMES = {"noon": "12:00", "midnight": "00:00"}
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10, "other": 2, "third": 3}
_BEGINNINGS = {
    "weekly": "every week",
    "monthly": "@monthly",
    "yearly": "@yearly",
    "annually": "@yearly",
    "nightly": "daily",
    "each": "every",
    "on": "every",
    "at": "daily at",
}
LONGER = {"month": "0 0 1 * *", "year": "0 0 1 1 *"}


def beginning(word: str) -> str | None:
    """Return with what an expression may begin instead: words, or one of cron's nicknames for the whole."""
    return _BEGINNINGS.get(word) or near(word, ("every", "daily", "hourly"))


def near(word: str, names: tuple[str, ...]) -> str | None:
    """Return the name that a word abbreviates or misspells."""
    if not word:
        return None
    begun = (name for name in names if name.startswith(word))
    return next(begun, None) or next(iter(difflib.get_close_matches(word, names, 1, 0.5)), None)


def meant_number(word: str) -> float | None:
    """Return the number, greater than 0, that is in a word: "five", "-5", "1.5"."""
    try:
        number = abs(float(_NUMBERS.get(word, word)))
    except ValueError:
        return None
    return number if number and math.isfinite(number) else None


def meant_time(word: str) -> str | None:
    """Return the time of day that a word says in another way: "9am", "0930", "noon"."""
    found = _TIME.fullmatch(word)
    if not found:
        return _SPOKEN_TIMES.get(word)
    hour = int(found[1]) % 24
    if found[3]:
        hour = hour % 12 + (12 if found[3] == "pm" else 0)
    return f"{hour:02}:{found[2] or '00'}"
