"""The hunt for wake-ups that get lost, and clocks that are wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.faults.producer import Order

if TYPE_CHECKING:
    from tests.faults.rig import Rig

# Heartbeats would heal lost wake-ups, so none comes through; the lease outlasts the scenario.
_LONG_LEASE_S = 300.0
_LATE_S = 0.6


def lost_wake_ups(rig: Rig) -> None:
    """Tasks for idle workers, alone, in bursts and delayed: each must begin at once, with no heartbeat to help."""
    rig.size = replace(rig.size, lease_s=_LONG_LEASE_S)
    rig.plain_server()
    line = rig.proxy()
    line.block("heartbeat")
    rig.workers(4, threads=1, via=line)
    # As many as there are workers: a token must go from one to the next. First, for workers that have seen short tasks
    # take some more than they can start, and give them back only after a quarter of a second.
    order = Order("", 0, 12 * rig.size.rounds, own_ids=0, wait_s=10)
    rig.producers(replace(order, fewest=4, most=4, least_ms=2000 * _LATE_S), number=1)
    rig.drain(180)
    rig.producers(replace(order, count=20 * rig.size.rounds, most=2, delayed=1, delay_s=0.05), number=1)
    rig.drain(180)
    # At the moment when a dispatcher has fetched in vain and lies down again, give or take.
    rig.producers(replace(order, count=rig.size.tasks, most=1, pause_ms=4), number=1)
    rig.drain(180)
    waits_s = sorted(_waits_s(rig))
    late = [wait_s for wait_s in waits_s if wait_s > _LATE_S]
    rig.bite("heartbeats blocked", line.bites["blocked heartbeat"], 4)
    rig.bite("tasks that found idle workers", len(waits_s), rig.size.tasks)
    rig.figure("median wait ms", 1000 * waits_s[len(waits_s) // 2])
    rig.figure("longest wait ms", 1000 * waits_s[-1])
    rig.check(not late, f"{len(late)} tasks began late, after up to {waits_s[-1]:.2f} s: wake-ups were lost")
    rig.check(rig.journals.count("stuck") == 0, f"{rig.journals.count('stuck')} results did not come in 10 s")
    rig.judge()


def wrong_clocks(rig: Rig) -> None:
    """Producers an hour ahead and an hour behind, and workers likewise: nobody's clock but the server's decides."""
    rig.plain_server()
    hour_s = 3600.0
    rig.workers(1, skew_s=hour_s)
    rig.workers(1, skew_s=-hour_s)
    rig.workers(1, skew_s=-hour_s, loop=True)
    order = Order("", 0, rig.size.tasks // 2, rig.size.tasks / 12, longest_ms=5, delayed=0.3)
    rig.producers(order, number=1, skew_s=hour_s)
    rig.producers(order, number=1, skew_s=-hour_s)
    rig.drain()
    tasks = rig.ask("tasks")
    acknowledged = [entry.at_s for entry in rig.journals.entries("ack")]
    wrong = [task for task in tasks if not acknowledged[0] - 60 < task["created_s"] < acknowledged[-1] + 60]
    rig.bite("tasks dated an hour off", len(wrong), rig.size.tasks * 0.9)
    waits_s = _waits_s(rig)
    rig.figure("earliest ms", 1000 * min(waits_s))
    # The server counts in whole milliseconds.
    rig.check(min(waits_s) > -0.001, f"a delayed task began {-min(waits_s):.3f} s early")
    rig.check(max(waits_s) < 2, f"a task began {max(waits_s):.2f} s late")
    verdict = rig.judge()
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice: somebody was taken for dead")
    rig.check(rig.stats()["tasks_recovered"] == 0, "a worker was taken for dead")
    rig.watch_stalls()


def _waits_s(rig: Rig) -> list[float]:
    """Return from the call to the beginning, the delay taken off, for each task.

    The server's clock began to run within the call, so a task that is early has a wait below zero.
    """
    due_s: dict[int, float] = {}
    waits_s: dict[int, float] = {}
    for entry in rig.journals.entries("attempt", "begin"):
        if entry.word == "attempt":
            due_s.update((number, entry.at_s + entry.fields[1]) for number in entry.fields[0])
        else:
            waits_s.setdefault(entry.fields[0], entry.at_s - due_s[entry.fields[0]])
    return list(waits_s.values())
