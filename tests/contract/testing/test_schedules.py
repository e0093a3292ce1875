"""Schedules and the clock that a test moves: each fires at each of its instants on the way, by the test's hand."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import TaskHandler, TaskQueueService, TaskStatus, current_task, task

if TYPE_CHECKING:
    from singleton_service.background.testing import TaskQueueBench

MIDNIGHT = datetime(2035, 3, 1, tzinfo=UTC)


def test_a_schedule_fires_at_each_instant_that_the_clock_passes(task_queue: TaskQueueBench) -> None:
    nights = []

    @task
    def report(kind: str) -> None:
        here = current_task()
        assert here is not None
        assert here.task.scheduled_for is not None
        nights.append((kind, here.task.scheduled_for.isoformat()))

    task_queue.clock.move_to(MIDNIGHT)
    SchedulerService.schedule_task("report", {"kind": "sales"}, "daily at 02:00")
    task_queue.clock.move(hours=1)
    assert task_queue.enqueued == []
    task_queue.clock.move(days=3)
    task_queue.assert_enqueued(report, count=3)

    task_queue.drain()
    assert nights == [("sales", f"2035-03-0{day}T02:00:00+00:00") for day in (1, 2, 3)]
    made = [each.created_at for each in task_queue.enqueued]
    assert all(at - MIDNIGHT - timedelta(days=n, hours=2) < timedelta(seconds=20) for n, at in enumerate(made))


def test_what_handlers_declare_fires_once_a_scheduler_is_started_and_no_thread_is(task_queue: TaskQueueBench) -> None:
    @task(schedule="every 6 hours")
    def sweep() -> None: ...

    task_queue.clock.move_to(MIDNIGHT)
    TaskQueueService.server_url()
    task_queue.clock.move(days=1)
    task_queue.assert_enqueued(sweep, count=0)

    SchedulerService.start_scheduler()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scheduler")]

    class Nightly(TaskHandler):
        cron_schedule = "30 1 * * *"

        @classmethod
        def perform(cls) -> None: ...

    task_queue.clock.move(days=2)
    task_queue.assert_enqueued(sweep, count=8)
    task_queue.assert_enqueued(Nightly, count=2)
    assert {job["id"] for job in SchedulerService.get_scheduled_jobs()} == {"handler.sweep", "handler.Nightly"}


def test_a_schedule_that_is_paused_or_removed_fires_no_more(task_queue: TaskQueueBench) -> None:
    task_queue.clock.move_to(MIDNIGHT)
    paused = SchedulerService.schedule_task("a", {}, "hourly")
    removed = SchedulerService.schedule_task("b", {}, "hourly")
    task_queue.clock.move(hours=1)
    SchedulerService.pause_job(paused)
    SchedulerService.unschedule(removed)
    task_queue.clock.move(days=1)
    assert sorted(each.name for each in task_queue.enqueued) == ["a", "b"]


def test_time_that_passes_with_immediate_tasks_has_all_done_at_its_own_time(task_queue: TaskQueueBench) -> None:
    done: list[tuple[str, timedelta]] = []

    def note(what: str) -> None:
        done.append((what, timedelta(minutes=round((task_queue.clock.now() - MIDNIGHT) / timedelta(minutes=1)))))

    @task(max_retries=2, retry_delay_seconds=600)
    def flaky() -> None:
        note("flaky")
        raise ZeroDivisionError

    @task
    def later() -> None:
        note("later")
        SchedulerService.schedule_task("later_still", {}, "every 30 minutes", id="half-hourly")

    @task
    def later_still() -> None:
        note("later_still")
        SchedulerService.unschedule("half-hourly")

    task_queue.clock.move_to(MIDNIGHT)
    SchedulerService.schedule_task("flaky", {}, "0 1 * * *")
    TaskQueueService.enqueue_task("later", {}, delay_seconds=3600)
    with task_queue.immediate(errors="collect"):
        task_queue.clock.move(hours=5)
    minutes = sorted((after // timedelta(minutes=1), what) for what, after in done)
    assert minutes == [(60, "flaky"), (60, "later"), (70, "flaky"), (80, "flaky"), (90, "later_still")]
    (found,) = task_queue.assert_enqueued(flaky)
    known = TaskQueueService.get_task_status(found.id)
    assert known is not None
    assert known.status is TaskStatus.FAILED


def test_an_error_on_the_way_comes_out_of_the_move_and_the_clock_stands_where_it_happened(
    task_queue: TaskQueueBench,
) -> None:
    @task(max_retries=0)
    def fail() -> None:
        raise ZeroDivisionError

    task_queue.clock.move_to(MIDNIGHT)
    SchedulerService.schedule_task("fail", {}, "daily at 02:00")
    with task_queue.immediate(), pytest.raises(ZeroDivisionError):
        task_queue.clock.move(days=1)
    assert task_queue.clock.now() - MIDNIGHT - timedelta(hours=2) < timedelta(seconds=20)
    task_queue.clock.move(days=1)
    task_queue.assert_enqueued(fail, count=2)


def test_what_can_not_start_does_not_hold_time_up(task_queue: TaskQueueBench) -> None:
    @task
    def late() -> str:
        return "done"

    handles = [late.enqueue()]
    TaskQueueService.pause_queue("low")
    TaskQueueService.enqueue_task("late", {}, delay_seconds=60, queue="low", task_id="paused")
    with task_queue.immediate():
        TaskQueueService.enqueue_task("late", {}, delay_seconds=3600)
        task_queue.clock.move(hours=2)
    assert len(task_queue.drain()) == 0
    assert handles[0].result == "done"
    assert len(TaskQueueService.list_tasks(status="completed").tasks) == 2


def test_too_many_instants_are_refused_with_the_way_out(
    task_queue: TaskQueueBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("singleton_service.background.testing.passing._MOST_STOPS", 10)
    SchedulerService.schedule_task("tick", {}, "every 1 second")
    with pytest.raises(RuntimeError, match="something was due 10 times on the way"):
        task_queue.clock.move(seconds=30)
    task_queue.assert_enqueued("tick", count=10)
