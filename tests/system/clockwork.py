"""Schedules as a test looks at them, and a server's clock that it moves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.scripts import load_scripts


class Moved:
    """The server's clock as this process is told it."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self, seconds: float) -> None:
        """Move it, and have the scheduler look."""
        self.ahead_ms += round(seconds * 1000)
        client = TaskQueueService._open_client()
        client.scripts = load_scripts(self.ahead_ms)
        # Each has the scripts of the time before.
        client._protocols.clear()
        assert SchedulerService._firing is not None
        SchedulerService._firing.look()

    def to_the_next(self, schedule_id: str) -> None:
        """Move it to the instant that a schedule fires next."""
        (first,) = SchedulerService.next_runs(schedule_id, 1)
        self((first - datetime.now(UTC)).total_seconds() - self.ahead_ms / 1000)


def fired(schedule_id: str) -> list[datetime]:
    """Return the instants of a schedule that are tasks."""
    tasks = TaskQueueService.list_tasks(limit=1000).tasks
    return sorted(task.scheduled_for for task in tasks if task.schedule_id == schedule_id and task.scheduled_for)


def job(schedule_id: str) -> dict[str, Any]:
    """Return a schedule as it is listed."""
    (found,) = [job for job in SchedulerService.get_scheduled_jobs() if job["id"] == schedule_id]
    return found


def history(schedule_id: str) -> list[dict[str, Any]]:
    """Return what became of a schedule's fires."""
    return SchedulerService.get_job_history(schedule_id)
