"""What became of every task, in the manner of Jepsen's total-queue: what went in must come out.

From the journals of all processes and the server's own last word; a scenario then says what it will bear.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .journal import Entry


ENDED = frozenset({"completed", "failed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of tasks, and the numbers of those that should not be.

    Attributes:
        attempted: given to an enqueue.
        acknowledged: whose enqueue returned.
        unknown: whose enqueue raised: they may be in the queue or not.
        recovered: of the unknown ones, those that were in the queue.
        lost: acknowledged, yet nobody did them and the server knows no end of theirs (a cancelled one has ended).
        forgotten: acknowledged and perhaps done, yet the server knows no end of theirs.
        unexpected: done or in the queue though never attempted, or in the queue more than once.
        duplicated_runs: begun again, each time counted; allowed where a worker was taken for dead.
        completed_twice: ends that counted beyond the first.
        failed: failed for good.
        retries: the highest number of retries of any task.
    """

    attempted: int
    acknowledged: int
    unknown: int
    recovered: int
    lost: tuple[int, ...]
    forgotten: tuple[int, ...]
    unexpected: tuple[str, ...]
    duplicated_runs: int
    completed_twice: int
    failed: int
    retries: int

    def __str__(self) -> str:
        return (
            f"attempted {self.attempted}, acknowledged {self.acknowledged}, unknown {self.unknown}, "
            f"recovered {self.recovered}, lost {len(self.lost)}, unexpected {len(self.unexpected)}, "
            f"duplicated runs {self.duplicated_runs}, completed twice {self.completed_twice}"
        )

    def faults(self) -> dict[str, str]:
        """Return, as sentences, what is not as it should be."""
        broken = {}
        if self.lost:
            broken["lost"] = f"lost {len(self.lost)}: tasks {_some(self.lost)} were acknowledged and never done"
        if self.forgotten:
            broken["forgotten"] = (
                f"forgotten {len(self.forgotten)}: tasks {_some(self.forgotten)} were acknowledged, and the server "
                "knows no end of them"
            )
        if self.unexpected:
            broken["unexpected"] = f"unexpected {len(self.unexpected)}: {_some(self.unexpected)}"
        if self.completed_twice:
            broken["completed twice"] = f"completed twice {self.completed_twice}: more ends counted than tasks ended"
        return broken


def judge(entries: Sequence[Entry], tasks: Sequence[Mapping[str, Any]], stats: Mapping[str, int]) -> Verdict:
    """Compare what processes wrote down with what the server knows in the end.

    Args:
        entries: of all journals: attempt, ack, unknown, begin, end, settled.
        tasks: each `id, n, status, retries` the server knows.
        stats: the server's own counts, as get_queue_stats gives them.
    """
    attempted = set(_numbers(entries, "attempt"))
    acknowledged = {n: i for e in entries if e.word == "ack" for n, i in zip(*e.fields, strict=True)}
    unknown = attempted - set(acknowledged)
    ids_of: defaultdict[int, set[str]] = defaultdict(set)
    for task in tasks:
        ids_of[task["n"]].add(task["id"])
    begun = Counter(entry.fields[0] for entry in entries if entry.word == "begin")
    done = {entry.fields[0] for entry in entries if entry.word == "end"}
    ended_ids = {task["id"] for task in tasks if task["status"] in ENDED}
    forgotten = sorted(n for n, task_id in acknowledged.items() if task_id not in ended_ids)
    return Verdict(
        attempted=len(attempted),
        acknowledged=len(acknowledged),
        unknown=len(unknown),
        recovered=len(unknown & (set(ids_of) | set(begun))),
        lost=tuple(n for n in forgotten if n not in done),
        forgotten=tuple(forgotten),
        unexpected=tuple(_unexpected(attempted, acknowledged, ids_of, begun)),
        duplicated_runs=sum(begun.values()) - len(begun),
        completed_twice=_completed_twice(entries, tasks, stats),
        failed=sum(task["status"] == "failed" for task in tasks),
        retries=max((task["retries"] for task in tasks), default=0),
    )


def _numbers(entries: Iterable[Entry], word: str) -> list[int]:
    return [n for entry in entries if entry.word == word for n in entry.fields[0]]


def _unexpected(
    attempted: set[int], acknowledged: Mapping[int, str], ids_of: Mapping[int, set[str]], begun: Iterable[int]
) -> list[str]:
    strange = [f"task {n} was never attempted" for n in sorted({*ids_of, *begun} - attempted)]
    for n, ids in sorted(ids_of.items()):
        known = ids | ({acknowledged[n]} if n in acknowledged else set())
        strange += [f"task {n} is there more than once, as {' and '.join(sorted(known))}"] * (len(known) - 1)
    return strange


def _completed_twice(entries: Sequence[Entry], tasks: Sequence[Mapping[str, Any]], stats: Mapping[str, int]) -> int:
    # Two witnesses: the server's own count of ends that counted, and loops that were told that theirs did.
    completed = sum(task["status"] == "completed" for task in tasks)
    by_server: int = stats["tasks_processed"] - completed
    told_yes: Counter[str] = Counter(
        entry.fields[0] for entry in entries if entry.word == "settled" and entry.fields[1]
    )
    return max(by_server, sum(told_yes.values()) - len(told_yes), 0)


def _some(things: Sequence[object]) -> str:
    shown = ", ".join(map(str, things[:5]))
    return f"{shown}, ..." if len(things) > 5 else shown
