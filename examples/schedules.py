"""Schedules in words, in their own time zones; one that is slower than its interval, and what became of its runs.

    python examples/schedules.py

Schedules lie on the server: they would go on tomorrow, fired by any scheduler that runs, so this program takes its own
back before it ends.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from services.scheduler import ExpressionError, SchedulerService
from services.task_queue import TaskQueueError, current_task, task
from services.worker import WorkerService
from singleton_service import stop
from singleton_service.exceptions import ServiceError

if TYPE_CHECKING:
    from datetime import datetime

WATCHED_S = 4.5
SLOW_S = 1.3

OFFICES = {
    "berlin": ("every weekday at 09:00", "Europe/Berlin"),
    "new-york": ("every monday and thursday at 09:00", "America/New_York"),
    "lord-howe": ("every 2 weeks on friday at 16:30", "Australia/Lord_Howe"),
    "payroll": ("0 6 LW * *", "Europe/Berlin"),
}


@task
def remind(office: str) -> str:
    """Remind an office of its reports."""
    return f"{office} was reminded"


@task
def take_stock() -> str:
    """Take longer than the second between two instants."""
    running = current_task()
    assert running is not None
    assert running.scheduled_for is not None
    time.sleep(SLOW_S)
    return f"stock of {running.scheduled_for:%H:%M:%S}"


def main() -> int:
    """Show all of it; return the exit status."""
    made = []
    try:
        for office, (expression, timezone) in OFFICES.items():
            made.append(SchedulerService.schedule_task("remind", {"office": office}, expression, timezone=timezone))
        print("Nine o'clock is nine o'clock there, also when the clocks change:")
        for schedule_id in made:
            show(schedule_id)

        try:
            SchedulerService.schedule_task("remind", {"office": "rome"}, "every monday and firday at 9am")
        except ExpressionError as error:
            print(f"What can't be used is pointed at:\n{error}")

        slow = SchedulerService.schedule_task("take_stock", {}, "every second", id="stock", overlap="skip")
        made.append(slow)
        WorkerService.start_workers(2)
        SchedulerService.start_scheduler()
        time.sleep(WATCHED_S)
        SchedulerService.pause_job(slow)
        print(f"A task of {SLOW_S} s, every second, never twice at once:")
        for fire in reversed(SchedulerService.get_job_history(slow)):
            print(f"  {fire['scheduled_for'][11:19]}  {fire['outcome']}")
        by_hand = SchedulerService.run_now(made[0])
        print(f"Paused, and another one run by hand: task {by_hand}.")
    except (TaskQueueError, ServiceError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    finally:
        with contextlib.suppress(TaskQueueError):
            for schedule_id in made:
                SchedulerService.unschedule(schedule_id)
        stop()
    return 0


def show(schedule_id: str) -> None:
    """Say when a schedule fires, by the clock of its zone."""
    (job,) = [job for job in SchedulerService.get_scheduled_jobs() if job["id"] == schedule_id]
    runs = SchedulerService.next_runs(schedule_id, 2)
    print(f"  {job['description']}: {', '.join(local(run, job['timezone']) for run in runs)}")


def local(run: datetime, timezone: str) -> str:
    """Return an instant as a clock there shows it."""
    return f"{run.astimezone(ZoneInfo(timezone)):%a %d %b %H:%M}"


if __name__ == "__main__":
    sys.exit(main())
