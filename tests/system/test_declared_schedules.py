"""Tasks that say in their own definition when they are done, on real servers."""

from __future__ import annotations

import os
import signal
import threading
from datetime import date, datetime  # noqa: TC003 - a handler's annotations are read when it runs
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import TaskHandler, TaskPriority, TaskQueueService, current_task, task
from singleton_service.background.worker import WorkerService
from tests.system.clockwork import fired

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.clockwork import Moved

Queue = type[TaskQueueService]


def declared() -> dict[str, dict[str, Any]]:
    jobs = SchedulerService.get_scheduled_jobs()
    return {job["id"]: job for job in jobs if job["id"].startswith("handler.")}


def define_nightly() -> None:
    class NightlyReport(TaskHandler):
        queue = "low"
        cron_schedule = "0 2 * * mon"

        @classmethod
        def perform(cls, day: date | None = None) -> None: ...


def test_a_task_is_enqueued_when_its_definition_says_and_as_it_says(queue: Queue, until: Callable[..., Any]) -> None:
    @task(schedule="every second", queue="low", priority=TaskPriority.HIGH, max_retries=7)
    def beat(strength: int = 3) -> list[object]:
        running = current_task()
        assert running is not None
        return [strength, str(running.scheduled_for)]

    WorkerService.start_workers(1)
    SchedulerService.start_scheduler()

    done = until(lambda: queue.list_tasks(status="completed", name="beat").tasks)
    SchedulerService.stop_scheduler()
    assert (done[0].queue, done[0].priority, done[0].max_retries) == ("low", TaskPriority.HIGH, 7)
    assert (done[0].schedule_id, done[0].payload) == ("handler.beat", {})
    assert done[0].result == [3, str(done[0].scheduled_for)]


def test_a_handler_that_takes_a_date_is_given_that_of_its_instant(
    bare: Queue, until: Callable[..., Any], moved: Moved
) -> None:
    class NightlyReport(TaskHandler):
        cron_schedule = "0 2 * * *"

        @classmethod
        def perform(cls, day: date, at: datetime, kind: str = "sales") -> list[str]:
            return [repr(day), repr(at), kind]

    SchedulerService.start_scheduler()
    (night,) = SchedulerService.next_runs("handler.NightlyReport", 1)
    moved.to_the_next("handler.NightlyReport")
    until(lambda: fired("handler.NightlyReport"))
    SchedulerService.stop_scheduler()
    WorkerService.start_workers(1)

    task_id = SchedulerService.get_job_history("handler.NightlyReport")[0]["task_id"]
    day, at, kind = bare.get_result(task_id, timeout=15)
    assert (day, kind) == (repr(night.date()), "sales")
    assert at.startswith(repr(night)[:40].rpartition(", tzinfo")[0])


def test_a_program_that_starts_often_has_one_schedule(queue: Queue) -> None:
    for _ in range(3):
        define_nightly()
        SchedulerService.start_scheduler()
        SchedulerService.start_scheduler()
        SchedulerService.stop_scheduler()

    (job,) = declared().values()
    assert (job["id"], job["name"], job["queue"]) == ("handler.NightlyReport", "NightlyReport", "low")
    assert (job["expression"], job["interval"], job["unit"]) == ("0 2 * * MON", None, None)
    assert "T02:00:00+00:00" in job["next_run"]
    assert SchedulerService.get_scheduler_stats()["jobs_scheduled"] == 1


def test_what_is_registered_while_the_scheduler_runs_is_scheduled_too(queue: Queue, until: Callable[..., Any]) -> None:
    SchedulerService.start_scheduler()
    define_nightly()
    until(lambda: declared().keys() == {"handler.NightlyReport"})

    queue.register_handler("NightlyReport", lambda payload: None, schedule="hourly")
    until(lambda: declared()["handler.NightlyReport"]["expression"] == "every hour")

    queue.register_handler("NightlyReport", lambda payload: None)
    until(lambda: declared() == {})


def test_a_scheduler_that_was_stopped_learns_of_new_ones_when_it_starts(queue: Queue) -> None:
    SchedulerService.start_scheduler()
    SchedulerService.stop_scheduler()
    define_nightly()
    assert declared() == {}

    SchedulerService.start_scheduler()

    assert declared().keys() == {"handler.NightlyReport"}


def test_a_task_that_cannot_be_called_without_arguments_keeps_the_scheduler_from_starting(queue: Queue) -> None:
    class NightlyReport(TaskHandler):
        cron_schedule = "0 2 * * *"

        @classmethod
        def perform(cls, day: date, kind: str) -> None: ...

    with pytest.raises(
        ValueError, match=r"task 'NightlyReport' has a schedule, .* kind: it is missing\. Give the others"
    ):
        SchedulerService.start_scheduler()

    assert not SchedulerService.get_scheduler_stats()["is_running"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_that_defines_tasks_waits_for_no_lock_of_its_parents(
    queue: Queue, in_thread: Callable[..., threading.Thread], until: Callable[..., Any]
) -> None:
    SchedulerService.start_scheduler()
    assert SchedulerService._firing is not None
    asked: Any = SchedulerService._firing._declares_now
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with asked._cond:
            held.set()
            forked.wait(20)

    in_thread(hold)
    held.wait(20)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        try:
            define_nightly()
        finally:
            os._exit(0)
    forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
