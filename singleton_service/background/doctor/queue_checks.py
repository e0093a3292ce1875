"""Checks of the queues and their tasks: pure functions of what lies there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from singleton_service.background.task_queue.codec import NEWER_VERSION
from singleton_service.background.task_queue.protocol import PROTOCOL_VERSION

from .finding import fine, problem, warning
from .words import count, several, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .facts import QueueFacts, TaskFacts
    from .finding import Finding

_NO_HANDLER: Final = "No handler registered for task: "
# Whoever is there hands on what a dead worker held by then: a beat, and the time it leaves others to be back.
_HANDED_ON_S: Final = 10.0
_START: Final = "singleton-service worker MODULE"
_LONG_S: Final = 3600.0
_TIME_LIMIT: Final = "TaskTimeoutError"


def check_protocol(queues: Sequence[QueueFacts]) -> Finding:
    """Whether this version may use all queues."""
    check, newer = "protocol", [queue.name for queue in queues if queue.protocol > PROTOCOL_VERSION]
    if newer:
        said = f"a newer version has made {several(newer)} its own; this one speaks {PROTOCOL_VERSION}"
        return problem(check, said, "pip install --upgrade singleton-service")
    return fine(check, f"{count(len(queues), 'queue')}, none newer than protocol {PROTOCOL_VERSION}")


def check_workers(queues: Sequence[QueueFacts]) -> Finding:
    """Whether somebody takes from each queue that has tasks."""
    check, everybody = "workers", {worker for queue in queues for worker in queue.workers}
    left = {queue.name: queue.unfinished for queue in queues if not queue.workers and queue.unfinished}
    if not left:
        if everybody:
            return fine(check, f"{len(everybody):,} take tasks" if len(everybody) > 1 else "one takes tasks")
        return warning(check, "nobody takes tasks", _START)
    said = several(f"{name} has {count(number, 'task')} and no worker" for name, number in left.items())
    if everybody:
        names = ",".join(sorted({queue.name for queue in queues}))
        return problem(check, said, f"Have a worker take from it as well, as with --queues {names}.")
    return problem(
        check, said, "singleton-service worker MODULE, with the REDIS_URL and TASKS_ settings of this program"
    )


def check_pauses(queues: Sequence[QueueFacts]) -> Finding:
    """Whether tasks wait in a queue that is paused."""
    check, paused = "paused", [queue for queue in queues if queue.counts["paused"]]
    if not paused:
        return fine(check, "no queue is paused")
    said = several(f"{queue.name} is paused, with {count(queue.waiting, 'task')} waiting" for queue in paused)
    return warning(check, said, f"singleton-service queues resume {paused[0].name}")


def check_held(queues: Sequence[QueueFacts]) -> Finding:
    """Whether tasks are set aside, and for what."""
    check, reasons = "held", Counter[str]()
    for queue in queues:
        reasons.update(queue.reasons)
    if not reasons:
        return fine(check, "no task is set aside")
    unknown = {
        reason.removeprefix(_NO_HANDLER): number for reason, number in reasons.items() if reason.startswith(_NO_HANDLER)
    }
    if unknown:
        said = several(f"{count(number, 'task')} {name!r}" for name, number in unknown.items())
        fix = "Start a worker with the module that defines it; a name with a typo: cancel the task, enqueue it anew."
        return problem(check, f"no worker knows a handler for {said}", fix)
    if NEWER_VERSION in reasons:
        said = f"{count(reasons[NEWER_VERSION], 'task')} written by a newer version of singleton-service"
        return problem(check, said, "Start a worker of that version: pip install --upgrade singleton-service")
    said = several(f"{count(number, 'task')}: {reason}" for reason, number in reasons.most_common())
    return warning(check, said, "They go on by themselves once that service answers: look into the workers' log.")


def check_leases(queues: Sequence[QueueFacts]) -> Finding:
    """Whether tasks hang on workers that are dead."""
    check = "leases"
    late = [
        (worker, queue, number)
        for queue in queues
        for worker, number in queue.held_by_dead.items()
        if number and (not queue.workers or -queue.left_s[worker] > _HANDED_ON_S)
    ]
    if not late:
        running = sum(queue.counts["running"] for queue in queues)
        return fine(check, f"{count(running, 'task')} held, all by workers that live")
    said = several(
        f"{worker} is dead for {span(-queue.left_s[worker])} with {count(number, 'task')} of {queue.name}"
        for worker, queue, number in late
    )
    return problem(check, said, f"Start a worker for queue {late[0][1].name}: it hands them on within seconds.")


def check_failed(tasks: TaskFacts) -> Finding:
    """What failed for good and waits for somebody to look at it."""
    check = "failed"
    if not tasks.failed:
        return fine(check, "no failed task is kept")
    kinds = Counter((task.name, task.errors[-1].type if task.errors else "Error") for task in tasks.failed)
    said = several(f"{number} x {name} ({kind})" for (name, kind), number in kinds.most_common())
    fix = "singleton-service failed list, mend it, singleton-service failed retry"
    if any(kind == _TIME_LIMIT for _, kind in kinds):
        fix = 'Raise their timeout=, or do less at once; what can\'t be interrupted: execution="process".'
    return warning(check, said, fix)


def check_running(tasks: TaskFacts) -> Finding:
    """Whether tasks run for long that nothing will end."""
    check = "running"
    long = Counter(
        task.name
        for task in tasks.running
        if task.timeout is None and task.started_at and tasks.now_s - task.started_at.timestamp() > _LONG_S
    )
    if not long:
        return fine(check, f"{count(len(tasks.running), 'task')}, none without end")
    said = several(f"{number} x {name}" for name, number in long.most_common())
    return warning(check, f"for more than an hour, without a time limit: {said}", "Give them one: @task(timeout=...).")
