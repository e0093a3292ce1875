"""What was aimed for, and how near a run came: all of it computed from the run's own figures."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .contestants import CONTESTANTS, OUR_COROUTINES, OUR_EMBEDDED, OUR_THREADS
from .figures import NAPS_MS, medians, times
from .table import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .contestants import Contestant
    from .run import Outcome

_EVERYBODY_ELSE = [one for one in CONTESTANTS if not one.is_ours]
_PYTHON = [one for one in _EVERYBODY_ELSE if one.is_python]
_KEEP_A_STATUS = [one for one in _EVERYBODY_ELSE if one.keeps_status]
_BULLMQ = [one for one in _EVERYBODY_ELSE if not one.is_python]
_FULL = 95.0
_NEAR_IDEAL = 95.0


@dataclass(frozen=True, slots=True)
class Target:
    """One thing aimed for.

    Attributes:
        what: the thing, with what it is compared with.
        aim: what it should come to; a bound, or so many times what it is compared with.
        got: what it came to.
        is_floor: whether more is better; else less is.
        unit: of both; "x" for a ratio.
        digits: after the point of both.
        excuse: what meets the target in another way.
    """

    what: str
    aim: float
    got: float
    is_floor: bool
    unit: str
    digits: int = 0
    excuse: str = ""

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return bool(self.excuse) or (self.got >= self.aim if self.is_floor else self.got <= self.aim)

    @property
    def verdict(self) -> str:
        """Met, or by how much it was missed."""
        if self.excuse:
            return f"met: {self.excuse}"
        if self.is_met:
            return "met"
        return f"**missed**: {self.got / self.aim:.2f}x of it"

    @property
    def cells(self) -> list[str]:
        """Return the row that shows it."""
        bound = "at least" if self.is_floor else "at most"
        return [self.what, f"{bound} {self._shown(self.aim)}", self._shown(self.got), self.verdict]

    def _shown(self, value: float) -> str:
        return times(value) if self.unit == "x" else f"{value:,.{self.digits}f} {self.unit}".strip()


def targets(outcome: Outcome) -> Iterator[Target]:
    """Yield each target for which the run has figures on both sides."""
    yield from _drains(outcome)
    yield from _enqueues(outcome)
    yield from _latencies(outcome)
    yield from _costs(outcome)


def target_table(outcome: Outcome) -> str:
    """Return the table of all targets."""
    return table(["", "aim", "this run", ""], [each.cells for each in targets(outcome)])


def _drains(outcome: Outcome) -> Iterator[Target]:
    for way, ours in {"8 threads": OUR_THREADS, "async handlers": OUR_COROUTINES}.items():
        rate = _own(outcome, ours, "drain_one")
        what = f"drain, {way}, over"
        yield from _over(f"{what} the best Python peer", 25, rate, _best(outcome, _PYTHON, "drain_one"))
        yield from _over(f"{what} BullMQ", 5, rate, _best(outcome, _BULLMQ, "drain_one"))
        yield from _over(f"{what} the bare loop", 0.7, rate, _bare(outcome, "bare_drain"))
    busy = _own(outcome, OUR_THREADS, "drain_two_busy") or 0.0
    two, best_two = _own(outcome, OUR_THREADS, "drain_two"), _best(outcome, _PYTHON, "drain_two")
    for target in _over("drain, two processes, over the best Python peer with two", 15, two, best_two):
        yield target if target.is_met or busy < _FULL else replace(target, excuse=f"all cores are full, {busy:.0f} %")
    yield from _at_most("worker CPU per task, threads", 40, _own(outcome, OUR_THREADS, "worker_cpu"), "µs")
    for way, ours in {"threads": OUR_THREADS, "coroutines": OUR_COROUTINES}.items():
        for ms in NAPS_MS:
            near = _own(outcome, ours, f"sleep_{ms}")
            if near is not None:
                what = f"tasks of {ms} ms of sleep on {ours.in_flight_asleep} {way}, of the ideal"
                bare = _bare(outcome, f"nap_{way}_{ms}")
                beyond = _out_of_reach(bare, _bare(outcome, "bare_drain"), ours.in_flight_asleep / ms * 1000)
                yield Target(what + beyond, _NEAR_IDEAL, near, True, "%", 1)


def _out_of_reach(bare: float | None, loop: float | None, ideal: float) -> str:
    """Say how near even nothing but sleeps comes, or a bare loop, where that is not near enough."""
    limits = {"nothing but sleep": bare, "the bare loop": None if loop is None else loop / ideal * 100}
    short = {who: limit for who, limit in limits.items() if limit is not None and limit < _NEAR_IDEAL}
    found = [f"{who} reaches {limit:.1f} %" for who, limit in short.items()]
    return f" ({', '.join(found)})" if found else ""


def _enqueues(outcome: Outcome) -> Iterator[Target]:
    one = _own(outcome, OUR_THREADS, "enqueue_one")
    bulk = _own(outcome, OUR_THREADS, "enqueue_bulk")
    yield from _over("enqueue one at a time, over the best Python peer", 1, one, _best(outcome, _PYTHON, "enqueue_one"))
    yield from _over("enqueue one at a time, over a bare EVALSHA", 0.9, one, _bare(outcome, "evalsha"))
    yield from _at_most("enqueue one at a time, client CPU", 120, _own(outcome, OUR_THREADS, "enqueue_cpu"), "µs")
    for lines, ours in {"threads": OUR_THREADS, "coroutines": OUR_COROUTINES}.items():
        eight, best_eight = _own(outcome, ours, f"enqueue_{lines}"), _best(outcome, _PYTHON, f"enqueue_{lines}")
        what = f"enqueue from 8 {lines}, over the best Python peer's"
        yield from _over(what + _of_bare_threads(outcome, lines, eight), 3, eight, best_eight)
    best_bulk = _best(outcome, _PYTHON, "enqueue_bulk")
    yield from _over("enqueue in bulk, over the best Python peer's bulk", 15, bulk, best_bulk)


def _of_bare_threads(outcome: Outcome, lines: str, ours: float | None) -> str:
    """Say how near threads come to what this machine allows them, and to peers' coroutines; nothing of coroutines."""
    said = {
        "of bare threads": _bare(outcome, "joined_threads"),
        "of the best one's coroutines": _best(outcome, _PYTHON, "enqueue_coroutines"),
    }
    shown = [f"{times(ours / theirs)} {whose}" for whose, theirs in said.items() if ours is not None and theirs]
    return f" ({', '.join(shown)})" if shown and lines == "threads" else ""


def _latencies(outcome: Outcome) -> Iterator[Target]:
    for key, hop, aim, name in (("pick_up_p50", "hop_p50", 1.3, "p50"), ("pick_up_p99", "hop_p99", 2, "p99")):
        ours = _own(outcome, OUR_THREADS, key)
        yield from _over(f"pick-up {name}, over the bare wake-up", aim, ours, _bare(outcome, hop), is_floor=False)
        yield from _at_most(
            f"pick-up {name}, below the quickest peer", _least(outcome, _EVERYBODY_ELSE, key), ours, "ms", 2
        )
    yield from _at_most("delayed task late by, p50", 5, _own(outcome, OUR_THREADS, "late_p50"), "ms", 1)
    start = _own(outcome, OUR_THREADS, "start")
    quickest = _least(outcome, _PYTHON, "start")
    yield from _at_most("start to first task, below the quickest Python peer", quickest, start, "s", 2)
    yield from _at_most("start to first task, embedded from cold", 0.6, _own(outcome, OUR_EMBEDDED, "start"), "s", 2)


def _costs(outcome: Outcome) -> Iterator[Target]:
    yield from _at_most("idle worker, commands a second", 2, _own(outcome, OUR_THREADS, "idle_commands"), "", 1)
    yield from _at_most("idle worker, of a core", 0.2, _own(outcome, OUR_THREADS, "idle_cpu"), "%", 2)
    memories = _all(outcome, _PYTHON, "worker_memory")
    median = statistics.median(memories) if memories else None
    ours = _own(outcome, OUR_THREADS, "worker_memory")
    yield from _at_most("worker memory after 20,000 tasks, below the Python peers' median", median, ours, "MB", 1)
    least = _least(outcome, _KEEP_A_STATUS, "server_memory")
    queued = _own(outcome, OUR_THREADS, "server_memory")
    yield from _at_most("server memory per queued task, below every peer with a status", least, queued, "bytes")
    for verb in next(iter(outcome.depth.values()), {}):
        costs = [each[verb] for each in outcome.depth.values()]
        few, *_, many = map(int, outcome.depth)
        what = f"{verb}: µs of the server with {few:,} to {many:,} queued, most over least"
        yield from _over(what, 1.2, max(costs), min(costs), is_floor=False)


def _over(
    what: str, aim: float, ours: float | None, theirs: float | None, *, is_floor: bool = True
) -> Iterator[Target]:
    if ours is not None and theirs:
        yield Target(what, aim, ours / theirs, is_floor, "x")


def _at_most(what: str, aim: float | None, got: float | None, unit: str, digits: int = 0) -> Iterator[Target]:
    if aim is not None and got is not None:
        yield Target(what, aim, got, False, unit, digits)


def _own(outcome: Outcome, contestant: Contestant, key: str) -> float | None:
    return outcome.figures.get(contestant.name, {}).get(key)


def _bare(outcome: Outcome, key: str) -> float | None:
    return medians(outcome.bare.values()).get(key)


def _all(outcome: Outcome, contestants: list[Contestant], key: str) -> list[float]:
    found = (_own(outcome, one, key) for one in contestants)
    return [value for value in found if value is not None]


def _best(outcome: Outcome, contestants: list[Contestant], key: str) -> float | None:
    return max(_all(outcome, contestants, key), default=None)


def _least(outcome: Outcome, contestants: list[Contestant], key: str) -> float | None:
    return min(_all(outcome, contestants, key), default=None)
