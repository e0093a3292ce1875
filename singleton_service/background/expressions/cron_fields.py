"""Reading cron's five fields, and finding what is wrong with them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cronsim import CronSim, CronSimError

from .cron import Cron
from .errors import INVALID, ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class _Field:
    """What one field takes: how its rule is said, its bounds, and a value that is right."""

    name: str
    rule: str
    lowest: str
    highest: str
    right: str
    names: tuple[str, ...] = ()


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    _Field("minute", "0 to 59", "0", "59", "0"),
    _Field("hour", "0 to 23", "0", "23", "2"),
    _Field("day-of-month", "1 to 31, L for the last, LW for the last from Monday to Friday", "1", "31", "1"),
    _Field("month", "1 to 12 or JAN to DEC", "1", "12", "1", _MONTHS),
    _Field("day-of-week", "0 to 7 or SUN to SAT, 5L for the last Friday, MON#2", "SUN", "SAT", "MON", _DAYS),
)
_ORDER = " ".join(field.name for field in _FIELDS)
_EXAMPLE = "0 2 * * *"
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# Where to begin when it is asked whether it ever fires: what a clock shows has no zone.
_ANY_TIME = datetime(2000, 1, 1)  # noqa: DTZ001


def looks_like_cron(text: str) -> bool:
    """Whether an expression is meant for cron: it begins with a number, a star or a nickname's @."""
    return text[:1] in set("*?@0123456789")


def parse_cron(text: str, timezone: str, in_words: Callable[[str], str | None]) -> Cron:
    """Return when a cron expression fires; *text* has single spaces.

    Args:
        text: five fields or a nickname.
        timezone: whose clock it goes by.
        in_words: finds what to propose when it has not five fields.

    Raises:
        ExpressionError: it has not five fields, one of them can't be used, or it would never fire; it points at the
            field, and proposes the expression with that field put right.
    """
    if text.startswith("@"):
        return Cron(text=_nicknamed(text), timezone=timezone)
    words = text.split(" ")
    if len(words) != len(_FIELDS):
        raise _miscounted(text, words, in_words(text))
    start = 0
    for place, word in enumerate(words):
        for term in word.split(","):
            if not _is_sound(_alone(place, term)):
                raise _bad_term(text, start, term, place)
            start += len(term) + 1
    if not _is_sound(words):
        rule = "These days never come in these months, so it would never fire"
        start = len(" ".join(words[:2])) + 1
        raise ExpressionError(INVALID, text, start, len(text), rule, _repaired(words))
    return Cron(text=text.upper(), timezone=timezone)


def _nicknamed(text: str) -> str:
    fields = _NICKNAMES.get(text.lower())
    if fields is None:
        rule = f"The nicknames are {', '.join(_NICKNAMES)}"
        if text.lower() == "@reboot":
            rule = "A schedule knows no boot: what is done once at a start is enqueued then"
        raise ExpressionError(INVALID, text, 0, len(text), rule, "@daily")
    return fields


def _miscounted(text: str, words: list[str], instead: str | None) -> ExpressionError:
    fields = "1 field" if len(words) == 1 else f"{len(words)} fields"
    rule = f"It has {fields}, cron has five ({_ORDER})"
    if len(words) > len(_FIELDS):
        kept = " ".join(words[:5])
        if len(words) == len(_FIELDS) + 1 and _is_sound(words[1:]):
            rule = f"{rule} and no seconds before them"
            return ExpressionError(INVALID, text, 0, len(words[0]), rule, " ".join(words[1:]))
        instead = instead or (kept if _is_sound(words[:5]) else _EXAMPLE)
        return ExpressionError(INVALID, text, len(kept) + 1, len(text), rule, instead)
    return ExpressionError(INVALID, text, len(text), len(text) + 1, rule, instead or _EXAMPLE)


def _bad_term(text: str, start: int, term: str, place: int) -> ExpressionError:
    field = _FIELDS[place]
    rule = (
        f"The {field.name} {term!r} can't be used: it is {field.rule}, *, a list (1,2), a range (1-5) or a step (*/5)"
    )
    return ExpressionError(INVALID, text, start, start + max(len(term), 1), rule, _repaired(text.split(" ")))


def _repaired(words: list[str]) -> str:
    """Return what these five fields may have been meant to be."""
    fields = []
    for place, word in enumerate(words):
        terms = [term if _is_sound(_alone(place, term)) else _meant(place, term.upper()) for term in word.split(",")]
        fields.append(",".join(terms))
    sound = (each for each in (fields, [*fields[:2], "1", fields[3], "*"]) if _is_sound(each))
    return " ".join(next(sound, [_EXAMPLE]))


def _meant(place: int, term: str) -> str:
    field = _FIELDS[place]
    if term == "?":
        return "*"
    first, dash, last = term.partition("-")
    turned = f"{first}-{field.highest},{field.lowest}-{last}"  # FRI-MON, 22-2
    if dash and all(_is_sound(_alone(place, part)) for part in turned.split(",")):
        return turned
    return term[:3] if term[:3] in field.names else field.right  # MONDAY


def _alone(place: int, term: str) -> list[str]:
    return [term if place == each else "*" for each in range(len(_FIELDS))]


def _is_sound(fields: list[str]) -> bool:
    """Whether cronsim takes these fields, and finds a time for them."""
    try:
        next(CronSim(" ".join(fields), _ANY_TIME))
    except (CronSimError, StopIteration, ValueError):
        return False
    return True
