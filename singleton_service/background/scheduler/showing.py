"""What schedules there are, when they fire, and what became of it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.availability import guarded

from .definition import check_schedule_id, decode
from .firing import BY_HAND, OWN_WORK, SKIPPED
from .opened import Opened

if TYPE_CHECKING:
    from .definition import Definition
    from .store import State

logger = logging.getLogger("singleton_service.scheduler")

_MOST_RUNS = 1000
_AT_ONCE = 500


class Showing(Opened):
    """The half of SchedulerService that reads."""

    @classmethod
    @guarded
    def get_scheduled_jobs(cls) -> list[dict[str, Any]]:
        """List all schedules, of whichever process, in the order in which they fire next.

        Each is a dict of `id`, `name` (of the task), `payload`, `queue`, `expression`, `description` (in English),
        `timezone`, `interval` (a number as text) and `unit` ("seconds", "minutes", "hours", "days" or "weeks"; both
        None where that changes), `next_run`, `last_run` (ISO 8601 in UTC; None when there is none), `last_task_id`,
        `lateness_seconds` (of the last run), `runs` and `missed` (how many instants became tasks, and how many never
        did), `is_paused`, `is_declared` (in code), and as they were given `start_at`, `until` (ISO 8601), `max_runs`,
        `missed_policy`, `overlap`, `jitter_seconds`.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        store = cls._open_store()
        found = [each for each in store.read_all() if each.state is not None and not each.state.is_retired]
        jobs = []
        for first in range(0, len(found), _AT_ONCE):
            some = found[first : first + _AT_ONCE]
            histories = store.histories([each.id for each in some])
            for each, history in zip(some, histories, strict=True):
                assert each.state is not None
                assert each.definition is not None
                try:
                    definition = decode(each.definition)
                except ValueError as error:
                    logger.warning("schedule %r is not listed: %s", each.id, error)
                    continue
                jobs.append(_described(each.id, each.state, definition, history))
        return sorted(jobs, key=lambda job: (job["next_run"] is None, job["next_run"] or "", job["id"]))

    @classmethod
    @guarded
    def get_job_history(cls, id: str) -> list[dict[str, Any]]:  # noqa: A002 - what users call it
        """Tell of the last 20 fires of a schedule, the latest first; empty when there is none by that id.

        Each is a dict of `scheduled_for`, `fired_at` (ISO 8601 in UTC), `lateness_seconds`, `task_id`, `by_hand`, and
        `outcome`: the task's status as it is now, "forgotten" when its result has passed its time, "skipped" where the
        task before had not ended (`task_id` is then that one), "done" for what a scheduler did itself.

        Raises:
            ValueError, TypeError: no schedule can have this id.
            QueueUnavailableError: the server is not there.
        """
        (history,) = cls._open_store().histories([check_schedule_id(id)])
        return [_told(*line) for line in reversed(history)]

    @classmethod
    @guarded
    def next_runs(cls, id: str, n: int = 5) -> list[datetime]:  # noqa: A002 - what users call it
        """Return the next *n* instants of a schedule, aware UTC; fewer when it is over before, or there is none.

        Of a paused one those that it would have if it were resumed now.

        Raises:
            ValueError, TypeError: no schedule can have this id, or *n* is not 1 to 1,000.
            QueueUnavailableError: the server is not there.
        """
        if not isinstance(n, int) or isinstance(n, bool):
            raise TypeError(f"n {n!r} is of type {type(n).__name__}, it must be a whole number")
        if not 1 <= n <= _MOST_RUNS:
            raise ValueError(f"n {n} is out of range: 1 to {_MOST_RUNS:,}")
        found = cls._find(id)
        if found is None:
            return []
        state, definition = found
        left = n if definition.max_runs is None else min(n, definition.max_runs - state.runs)
        next_ms = definition.next_after(cls._server_now_ms()) if state.is_paused else state.next_ms
        runs: list[datetime] = []
        while next_ms is not None and len(runs) < left:
            runs.append(_moment(next_ms))
            next_ms = definition.next_after(next_ms)
        return runs

    @classmethod
    @guarded
    def get_scheduler_stats(cls) -> dict[str, Any]:
        """Count.

        What this process did since the service started: `jobs_scheduled` by `schedule_task` and by tasks' own
        definitions, new or changed; `jobs_executed` instants that it saw to, those that another process saw to not
        included; `scheduler_errors` fires that failed (they are tried again); `is_running`. And of all schedules
        there are, the default ones included: `total_jobs` that fire, `pending_jobs` of them due and not yet fired.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        loop = cls._open_loop()
        cls._server_now_ms()
        total, due = cls._open_store().count()
        return {
            "jobs_scheduled": cls._jobs_scheduled + loop.scheduled,
            "jobs_executed": loop.firing.executed,
            "scheduler_errors": loop.errors,
            "is_running": loop.is_running,
            "total_jobs": total,
            "pending_jobs": due,
        }


def _described(schedule_id: str, state: State, definition: Definition, history: list[list[str]]) -> dict[str, Any]:
    recurrence = definition.recurrence
    fired = [line for line in history if line[2] != SKIPPED]
    last = fired[-1] if fired else None
    return {
        "id": schedule_id,
        "name": definition.name,
        "payload": definition.payload,
        "queue": definition.queue,
        "expression": recurrence.text,
        "description": recurrence.describe(),
        "timezone": recurrence.timezone,
        "interval": None if recurrence.count is None else str(recurrence.count),
        "unit": recurrence.unit,
        "next_run": _iso(state.next_ms) if state.is_active else None,
        "last_run": None if last is None else _iso(int(last[1])),
        "last_task_id": None if last is None else last[3] or None,
        "lateness_seconds": None if last is None else (int(last[1]) - int(last[0])) / 1000,
        "runs": state.runs,
        "missed": state.missed,
        "is_paused": state.is_paused,
        "is_declared": state.is_declared,
        "start_at": _iso(definition.start_ms),
        "until": _iso(definition.until_ms),
        "max_runs": definition.max_runs,
        "missed_policy": definition.missed,
        "overlap": definition.overlap,
        "jitter_seconds": definition.jitter_ms / 1000,
    }


def _told(instant: str, fired: str, how: str, task_id: str) -> dict[str, Any]:
    if how == SKIPPED:
        outcome = "skipped"
    elif how == OWN_WORK or not task_id:
        outcome = "done"
    else:
        task = TaskQueueService.get_task_status(task_id)
        outcome = "forgotten" if task is None else task.status.value
    return {
        "scheduled_for": _iso(int(instant)),
        "fired_at": _iso(int(fired)),
        "lateness_seconds": (int(fired) - int(instant)) / 1000,
        "task_id": task_id or None,
        "by_hand": how == BY_HAND,
        "outcome": outcome,
    }


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _iso(ms: int | None) -> str | None:
    return None if ms is None else _moment(ms).isoformat()
