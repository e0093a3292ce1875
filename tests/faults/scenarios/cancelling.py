"""Cancelling, while others fetch, do and finish."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.rig import Rig


def cancel_races(rig: Rig) -> None:
    """Every second call's tasks are cancelled a moment later, as they wait, are fetched, run, or are being finished."""
    rig.plain_server()
    rig.workers(3)
    # Half of them wait for a moment first, and the moment ends while they are being cancelled.
    seconds = 5
    rig.load(seconds, threads=15, producers=4, delayed=0.5, delay_s=0.03, cancelled=0.5, cancel_after_ms=40)
    rig.drain()
    tasks = {task["id"]: task for task in rig.ask("tasks")}
    begun = {entry.fields[0] for entry in rig.journals.entries("begin")}
    outcomes: Counter[str] = Counter()
    for entry in rig.journals.entries("cancelled"):
        task_id, was_in_time = entry.fields
        task = tasks[task_id]
        outcomes[f"{was_in_time} {task['status']}"] += 1
        # No worker died or failed here: what has begun completes, unless it was told and interrupted.
        never_ran = task["n"] not in begun
        was_interrupted = not never_ran and task["status"] == "cancelled"
        outcomes["interrupted"] += was_interrupted
        rig.check(
            (task["status"] == "cancelled") == never_ran or (was_interrupted and was_in_time),
            f"task {task_id} is {task['status']}, and it was {'not ' if never_ran else ''}run",
        )
    rig.bite("cancelled in time", outcomes["True cancelled"], 20)
    rig.bite("told while they ran", outcomes["True completed"], 5)
    rig.figure("interrupted", outcomes["interrupted"])  # none where tasks are over before the next heartbeat
    rig.bite("too late", outcomes["False completed"], 5)
    rig.check(outcomes["False cancelled"] == 0, f"{outcomes['False cancelled']} were cancelled by one who was refused")
    stats = rig.stats()
    ended = sum(stats[f"tasks_{how}"] for how in ("processed", "failed", "cancelled", "expired"))
    rig.check(stats["tasks_queued"] == ended, f"{stats['tasks_queued']} went in and {ended} came to an end")
    verdict = rig.judge()
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice")
    rig.watch_stalls()
