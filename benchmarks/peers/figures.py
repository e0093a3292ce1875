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
        Measure("enqueue_eight", "from 8 threads", is_rate=True),
        Measure("enqueue_bulk", "in bulk", is_rate=True),
    ),
    "Drain, tasks a second, status and results kept": (
        Measure("drain_one", "one worker process", is_rate=True),
        Measure("drain_two", "two", is_rate=True),
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


def cell(measure: Measure, value: float | None, ours: float | None) -> str:
    """Return a figure and, in brackets, how many times better ours is. A dash: it has no such thing."""
    if value is None:
        return "-"
    text = f"{value:,.{measure.digits}f}"
    times = ratio(measure, ours, value) if ours is not None and measure.has_ratio else None
    return text if times is None else f"{text} ({_times(times)})"


def _times(times: float) -> str:
    return f"{times:,.0f}x" if times >= 10 else f"{times:.1f}x" if times >= 1 else f"{times:.2f}x"
