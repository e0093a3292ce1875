"""What people type on a command line: key=value, durations, points in time."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_ASSIGNMENT = re.compile(r"([^=:]+)(:=|=)(.*)", re.DOTALL)


def duration(text: str) -> float:
    """Return the seconds that `90`, `10m` or `1h30m` mean; a type for click.

    Raises:
        click.BadParameter: it is none.
    """
    written = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", written):
        return float(written)
    parts = _PART.findall(written)
    if not parts or "".join(number + unit for number, unit in parts) != written:
        raise click.BadParameter(f"{text!r} is no duration: write it as 90 (seconds), 10m, 1h30m or 2d")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def moment(text: str) -> datetime:
    """Return the time that `18:30`, `2026-12-24` or `2026-12-24T18:30+01:00` means; a type for click.

    A time of day is the next one to come. One without a zone is naive, for local time.

    Raises:
        click.BadParameter: it is none.
    """
    if clock := _CLOCK.fullmatch(text):
        now = datetime.now()  # noqa: DTZ005 - by this machine's clock, which is what somebody looks at
        today = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        return today if today > now else today + timedelta(days=1)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time: write it as 18:30, 2026-12-24 or 2026-12-24T18:30+01:00"
        ) from None


def payload_of(assignments: Sequence[str], payload: str | None) -> dict[str, Any]:
    """Return the payload that `key=text` and `key:=JSON` mean, on top of a JSON object if one is given.

    Raises:
        ValueError, TypeError: one of them can't be read.
    """
    whole = {} if payload is None else _json(payload, "--payload")
    if not isinstance(whole, dict):
        raise TypeError(f'--payload {payload!r} is no JSON object: write it as \'{{"key": "value"}}\'')
    for text in assignments:
        match = _ASSIGNMENT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no value: write it as key=text or key:=JSON, as in size:=3")
        key, sign, value = match.groups()
        whole[key] = _json(value, key) if sign == ":=" else value
    return whole


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: {text!r} is no JSON: {error}; strings are written as key=text") from None
