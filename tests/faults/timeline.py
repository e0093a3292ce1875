"""How many tasks ended in each tenth of a second, how long none did, and what fault there was meanwhile."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BUCKET_S = 0.1
# Within it after a fault's end work goes on.
MARGIN_S = 1.0
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


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which no task ended, and how long the fault lasted that it met; 0 when it met none."""

    seconds: float
    fault_s: float


def stalls(ends_s: Sequence[float], from_s: float, to_s: float, faults: Sequence[tuple[float, float]]) -> list[Stall]:
    """Return the times between two ends, of those that overlap *from_s* to *to_s*.

    Args:
        ends_s: when tasks ended.
        from_s: when to begin.
        to_s: when to end.
        faults: when each began and ended. Of those that one stall meets, any that begins within MARGIN_S of another's
            end is one with it: nobody had the time to go on.
    """
    points = [from_s, *sorted(end for end in ends_s if from_s < end < to_s), to_s]
    return [Stall(later - earlier, _fault_s(faults, earlier, later)) for earlier, later in pairwise(points)]


def _fault_s(faults: Sequence[tuple[float, float]], from_s: float, to_s: float) -> float:
    """Return how long the longest fault lasted that was there at some time between."""
    met = _joined((began_s, ended_s) for began_s, ended_s in faults if began_s < to_s and ended_s > from_s)
    return max((ended_s - began_s for began_s, ended_s in met), default=0.0)


def _joined(faults: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for began_s, ended_s in sorted(faults):
        if joined and began_s - joined[-1][1] < MARGIN_S:
            first_s, last_s = joined.pop()
            joined.append((first_s, max(last_s, ended_s)))
        else:
            joined.append((began_s, ended_s))
    return joined
