"""How many tasks ended in each tenth of a second, and how long none did."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKET_S = 0.1
_BARS = " ▁▂▃▄▅▆▇█"
_WIDEST = 100


def buckets(ends_s: Sequence[float]) -> list[int]:
    """Count ends per tenth of a second, from the first to the last."""
    if not ends_s:
        return []
    first_s = min(ends_s)
    counts = Counter(int((end_s - first_s) / BUCKET_S) for end_s in ends_s)
    return [counts[n] for n in range(max(counts) + 1)]


def picture(ends_s: Sequence[float]) -> str:
    """Draw them as a line of bars, a blank where nothing ended; long runs are drawn in wider steps."""
    counts = buckets(ends_s)
    step = -(-len(counts) // _WIDEST) or 1
    columns = [sum(counts[n : n + step]) for n in range(0, len(counts), step)]
    tallest = max(columns, default=0)
    return "".join(_BARS[-(-column * (len(_BARS) - 1) // tallest)] for column in columns) if tallest else ""


def longest_stall_s(ends_s: Sequence[float], from_s: float, to_s: float) -> float:
    """Return the longest time between two ends, of those that overlap *from_s* to *to_s*."""
    points = [from_s, *sorted(end for end in ends_s if from_s < end < to_s), to_s]
    return max(later - earlier for earlier, later in pairwise(points))
