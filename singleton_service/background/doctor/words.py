"""Numbers as people say them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_NAMES = 3


def size(number: float) -> str:
    """Return bytes in the largest unit that fits, as 1.5 GB; a GB is 10^9."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def span(seconds: float) -> str:
    """Return a time in the unit that fits, as 3 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, length_s in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def count(number: int, thing: str) -> str:
    """Return how many there are: 1 task, 2 tasks."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def several(names: Iterable[str]) -> str:
    """Return a few names, and how many more there are."""
    every = list(names)
    more = len(every) - _MOST_NAMES
    return ", ".join(every[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
