"""The measures by name, the statistics, and what a figure looks like."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Measure:
    """One column.

    Attributes:
        title: what it says above it, with its unit.
        is_rate: whether more is better; else less is.
        digits: after the point.
    """

    key: str
    title: str
    is_rate: bool = False
    digits: int = 0
    has_ratio: bool = True


TABLES: dict[str, tuple[Measure, ...]] = {
    "Enqueue, tasks a second": (
        Measure("enqueue_one", "one at a time", is_rate=True),
        Measure("enqueue_cpu", "client CPU each, µs"),
        Measure("enqueue_threads", "from 8 threads", is_rate=True),
        Measure("enqueue_coroutines", "from 8 coroutines", is_rate=True),
        Measure("enqueue_bulk", "in bulk", is_rate=True),
    ),
    "Drain, tasks a second, status and results kept": (
        Measure("drain_one", "one worker process", is_rate=True),
        Measure("drain_two", "two", is_rate=True),
        Measure("drain_two_busy", "with two, all cores busy, %", has_ratio=False),
        Measure("worker_cpu", "worker CPU a task, µs"),
        Measure("drain_late", "late or lost, of 1,000", digits=1, has_ratio=False),
    ),
    "Latency": (
        Measure("pick_up_p50", "pick-up p50, ms", digits=2),
        Measure("pick_up_p99", "p99, ms", digits=2),
        Measure("late_p50", "delayed task late by, p50, ms", digits=1),
        Measure("late_p99", "p99, ms", digits=1),
        Measure("start", "start to first task, s", digits=2),
    ),
    "At rest": (
        Measure("idle_cpu", "idle worker, % of a core", digits=2),
        Measure("idle_commands", "commands/s", digits=1),
        Measure("worker_memory", "worker after its tasks, MB"),
        Measure("server_memory", "server, bytes a queued task"),
    ),
    "Tasks that sleep, % of the ideal": (
        Measure("sleep_1", "1 ms", is_rate=True, has_ratio=False),
        Measure("sleep_10", "10 ms", is_rate=True, has_ratio=False),
        Measure("sleep_100", "100 ms", is_rate=True, has_ratio=False),
    ),
}
NAPS_MS = (1, 10, 100)
_NAPPERS = {"threads": "8 threads", "coroutines": "200 asyncio tasks"}
# What the machine allows, with no queue at all: benchmarks/ceiling.py.
BARE = (
    Measure("bare_push", "bare loop, redis-py pipelines and json: push/s in batches of 100", is_rate=True),
    Measure("bare_drain", "the same: drain/s in batches of 100", is_rate=True),
    Measure("held_push", "held connection, orjson, one script a batch: push/s", is_rate=True),
    Measure("held_drain", "the same: drain/s", is_rate=True),
    Measure("evalsha", "held connection: EVALSHA/s, one at a time", is_rate=True),
    Measure("evalsha_cpu", "held connection: client CPU per EVALSHA, µs"),
    Measure("joined_threads", "8 threads that share their EVALSHAs, and do nothing else: tasks/s", is_rate=True),
    Measure("hop_p50", "one hop, RPUSH to BLPOP: p50, ms", digits=2),
    Measure("hop_p99", "one hop, RPUSH to BLPOP: p99, ms", digits=2),
    *(
        Measure(f"nap_{key}_{ms}", f"{who} at a time that only sleep {ms} ms: % of the ideal", is_rate=True, digits=1)
        for key, who in _NAPPERS.items()
        for ms in NAPS_MS
    ),
)


def percentile(values: Sequence[float], per_cent: float) -> float:
    """Return the smallest of *values* that so many per cent of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * per_cent / 100) - 1)]


def medians(repeats: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each measure over the repeats that have it."""
    taken: dict[str, list[float]] = {}
    for repeat in repeats:
        for key, value in repeat.items():
            taken.setdefault(key, []).append(value)
    return {key: statistics.median(values) for key, values in taken.items()}


def ratio(measure: Measure, ours: float, theirs: float) -> float | None:
    """Return how many times better ours is, less than 1 where theirs is; None where that says nothing."""
    over, under = (ours, theirs) if measure.is_rate else (theirs, ours)
    return over / under if under else None


def shown(measure: Measure, value: float | None) -> str:
    """Return a figure. A dash: there is no such thing."""
    return "-" if value is None else f"{value:,.{measure.digits}f}"


def cell(measure: Measure, value: float | None, ours: float | None) -> str:
    """Return a figure and, in brackets, how many times better ours is."""
    text = shown(measure, value)
    if value is None or ours is None or not measure.has_ratio:
        return text
    factor = ratio(measure, ours, value)
    return text if factor is None else f"{text} ({times(factor)})"


def times(factor: float) -> str:
    """Return a factor with as many digits as it is worth."""
    return f"{factor:,.0f}x" if factor >= 10 else f"{factor:.1f}x" if factor >= 1 else f"{factor:.2f}x"
