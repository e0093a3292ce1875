"""From an expression to the instants at which it fires: the one parser. Pure: no clock, no state."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .cron_fields import looks_like_cron, parse_cron
from .errors import UNSUPPORTED, ExpressionError
from .interval import from_timedelta
from .words import ANYTHING, FORMS, MAX_CHARS, parse_words
from .zones import find_zone

if TYPE_CHECKING:
    from .recurrence import Recurrence


def parse(expression: object, timezone: str = "UTC") -> Recurrence:
    """Return when an expression fires. docs/reference/expressions.md lists what it takes.

    Case and spacing mean nothing.

    Args:
        expression: words ("every 30 seconds", "hourly", "daily at 02:00", "every monday and friday at 09:00", "every 2
            weeks on friday at 18:30"), cron's five fields ("0 2 * * *") or a nickname of theirs ("@monthly"), or a
            `timedelta` of whole seconds.
        timezone: the IANA name of the zone whose clock words and fields mean, such as "Europe/Berlin". Intervals in
            seconds, minutes and hours are elapsed time, whatever a clock does.

    Raises:
        ValueError: it is none of these (an `ExpressionError`, which points at the part that is wrong and proposes a
            neighbour), or this machine knows no zone of that name.
        TypeError: it is neither text nor a timedelta, or the zone's name is no text.
    """
    find_zone(timezone)
    if isinstance(expression, timedelta):
        return from_timedelta(expression, timezone)
    if not isinstance(expression, str):
        raise TypeError(f"expression {expression!r} is of type {type(expression).__name__}, no text. Use {FORMS}")
    text = _on_one_line(expression)
    if len(text) > MAX_CHARS:
        start, rule = text[:MAX_CHARS], f"An expression has at most {MAX_CHARS} characters"
        raise ExpressionError(UNSUPPORTED, f"{start}…", MAX_CHARS, MAX_CHARS + 1, rule, ANYTHING)
    if looks_like_cron(text):
        return parse_cron(text, timezone, _in_words)
    return parse_words(text, timezone)


def _in_words(text: str) -> str | None:
    """Return what "5 minutes" and "02:00" are in words."""
    for beginning in ("every", "daily at"):
        try:
            return parse_words(f"{beginning} {text}", "UTC").text
        except ExpressionError:
            pass
    return None


def _on_one_line(expression: str) -> str:
    text = " ".join(expression[: 10 * MAX_CHARS].split())
    return text if text.isprintable() else ascii(text)[1:-1]
