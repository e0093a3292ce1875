"""Classes that do tasks: a queue and a retry policy each, some again and again, and a worker that minds the order.

    python examples/class_handlers.py

The same, as three programs of a deployment would do it: the web process calls `perform_async` and starts nothing, the
worker is `WorkerService.run_forever(queues="critical,default,low")`, and either of them starts the scheduler.
"""

from __future__ import annotations

import logging
import os
import sys
import urllib.request
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from services.scheduler import SchedulerService
from services.task_queue import TaskHandler, TaskQueueError, TaskQueueService, current_task
from services.worker import WorkerService
from singleton_service import BaseService, guarded, requires, stop
from singleton_service.exceptions import ServiceError

if TYPE_CHECKING:
    from services.task_queue import Task, TaskHandle

DATA = Path(__file__).parent / "data"


class Library(BaseService):
    """The texts, read once. Started with the worker whose handlers require it; a web process never opens it."""

    _texts: ClassVar[dict[str, str]] = {}

    @classmethod
    def initialize(cls) -> None:
        """Read them."""
        cls._texts = {path.stem: path.read_text(encoding="utf-8") for path in DATA.glob("*.txt")}

    @classmethod
    @guarded
    def words(cls, title: str) -> list[str]:
        """List the words of a text."""
        return cls._texts[title].split()

    @classmethod
    @guarded
    def titles(cls) -> list[str]:
        """List what there is."""
        return sorted(cls._texts)


@requires(Library)
class CountWords(TaskHandler):
    """Says nothing of its queue, so it is "default"."""

    @classmethod
    def perform(cls, title: str) -> str:
        """Count the words of a text, and the different ones among them."""
        words = Library.words(title)
        return f"{title} has {len(words):,} words, {len(set(words)):,} of them different"


class Telephone(TaskHandler):
    """Urgent, and stubborn: again after 0.1 s, 0.2 s, 0.4 s, and so on, but never after more than ten minutes."""

    queue = "critical"
    max_retries = 5
    retry_delay_seconds = 0.1
    retry_backoff = True
    retry_backoff_max = 600

    @classmethod
    def perform(cls, name: str) -> str:
        """Call somebody. To raise is to try again, to return is to be done."""
        running = current_task()
        if running and running.attempt < 3:
            raise ConnectionError(f"{name} does not answer")
        return f"{name} is on the line"


class HealthCheck(TaskHandler):
    """Asks a web page how it is, every ten minutes. A page that is down is a finding, not a failed task."""

    queue = "critical"
    max_retries = 1
    cron_schedule = "*/10 * * * *"

    @classmethod
    def perform(cls, url: str | None = None) -> dict[str, object]:
        """Ask. Unless given, the deployment names the page: a worker need not run beside the web server."""
        url = url or os.environ.get("HEALTH_URL", "http://127.0.0.1:8000/stats")
        try:
            with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - whoever enqueues it may choose
                return {"page": url, "status": answer.status}
        except OSError as error:
            return {"page": url, "error": str(error)}


@requires(Library)
class NightlyReport(TaskHandler):
    """Is in no hurry, and knows its night even when it comes late."""

    queue = "low"
    cron_schedule = "0 2 * * *"

    @classmethod
    def perform(cls, night: date | None = None) -> str:
        """Report on all texts. A schedule passes no arguments; for when it is comes with the task."""
        running = current_task()
        if night is None and running and running.scheduled_for:
            night = running.scheduled_for.date()
        total = sum(len(Library.words(title)) for title in Library.titles())
        return f"{night or date.today()}: {len(Library.titles())} texts, {total:,} words"  # noqa: DTZ011 - a local day


def main() -> int:
    """Show all of it; return the exit status."""
    logging.getLogger("singleton_service").setLevel(logging.CRITICAL)  # failed attempts are told below
    try:
        waiting = [
            NightlyReport.perform_async(night=date(2026, 1, 31)),
            CountWords.perform_async("us-constitution"),
            HealthCheck.perform_async(url="http://127.0.0.1:9/"),
        ]
        print("One worker; enqueued for low, default and critical, done in another order:")
        WorkerService.start_workers(num_workers=1, queues="critical,default,low")
        for task in sorted(map(ended, waiting), key=started_at):
            print(f"  {task.queue:8}  {task.name:13}  {task.result}")

        called = ended(Telephone.perform_async("Ada"))
        print(f"Tried again, each time after twice as long: {called.result}, at attempt {called.retry_count + 1}.")

        soon = CountWords.perform_in(0.5, "lincoln-gettysburg")
        later = CountWords.perform_at(datetime.now().astimezone() + timedelta(seconds=1), title="newton-opticks")
        for task in (ended(soon), ended(later)):
            waited_s = (started_at(task) - task.created_at).total_seconds()
            print(f"Not before its time, {waited_s:.1f} s after it was enqueued: {task.result}.")

        SchedulerService.start_scheduler()
        print("From now on, in UTC:")
        for job in SchedulerService.get_scheduled_jobs():
            if job["id"].startswith("handler."):
                print(f"  {job['expression']:12}  {job['name']:13}  next at {job['next_run'][:16].replace('T', ' ')}")
    except (TaskQueueError, ServiceError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What was not done yet stays in the queue.", file=sys.stderr)
        return 130
    finally:
        stop()
    return 0


def ended(handle: TaskHandle) -> Task:
    """Wait for the end of a task, and return all there is to know of it."""
    handle.get(timeout=30)
    task = TaskQueueService.get_task_status(handle.id)
    assert task is not None, "it is kept for a day"
    return task


def started_at(task: Task) -> datetime:
    """Return when a task that has ended was started."""
    assert task.started_at is not None, "it has ended"
    return task.started_at


if __name__ == "__main__":
    sys.exit(main())
