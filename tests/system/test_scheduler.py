"""SchedulerService in one process, on real servers."""

from __future__ import annotations

import logging
import os
import queue as queues
import threading
import time
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import schedule

import singleton_service
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.scheduler.defaults import CLEANUP_ID, HEALTH_CHECK_ID
from singleton_service.background.task_queue import QueueUnavailableError, TaskQueueService, task
from singleton_service.background.worker import WorkerService
from tests.conftest import REDIS_SERVER, WITHOUT_REDIS, RedisServer, clean_process
from tests.system.clockwork import fired, history, job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.system.clockwork import Moved

Queue = type[TaskQueueService]


def scheduler_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "scheduler"]


def test_a_scheduled_task_carries_its_schedule_and_its_instant(queue: Queue, until: Callable[..., Any]) -> None:
    schedule_id = SchedulerService.schedule_task("tick", {"a": 1}, "every second")
    SchedulerService.start_scheduler()

    until(lambda: fired(schedule_id))
    SchedulerService.stop_scheduler()

    task = next(task for task in queue.list_tasks().tasks if task.schedule_id == schedule_id)
    assert (task.name, task.payload, task.queue) == ("tick", {"a": 1}, "default")
    assert task.scheduled_for is not None
    assert task.scheduled_for.microsecond == 0
    described = job(schedule_id)
    assert described["last_task_id"].startswith("default.=")
    assert datetime.fromisoformat(described["last_run"]) >= task.scheduled_for
    assert described["runs"] == len(fired(schedule_id))
    assert described["lateness_seconds"] >= 0


def test_start_is_idempotent_and_stop_is_immediate(queue: Queue) -> None:
    SchedulerService.stop_scheduler()
    SchedulerService.start_scheduler()
    SchedulerService.start_scheduler()
    assert len(scheduler_threads()) == 1
    assert scheduler_threads()[0].daemon

    began = time.monotonic()
    SchedulerService.stop_scheduler()
    SchedulerService.stop_scheduler()

    assert time.monotonic() - began < 0.5, "no tick is waited for"
    assert scheduler_threads() == []
    SchedulerService.start_scheduler()
    assert SchedulerService.get_scheduler_stats()["is_running"]


def test_the_same_schedule_again_changes_nothing_and_another_takes_its_place(queue: Queue) -> None:
    first = SchedulerService.schedule_task("report", {"b": 1, "a": 2}, "daily", id="nightly")
    assert SchedulerService.schedule_task("report", {"a": 2, "b": 1}, "Daily at 0:00", id="nightly") == first
    assert SchedulerService.get_scheduler_stats()["jobs_scheduled"] == 1

    SchedulerService.schedule_task("report", {"a": 2, "b": 1}, "hourly", id="nightly")

    assert SchedulerService.get_scheduler_stats()["jobs_scheduled"] == 2
    assert SchedulerService.get_scheduler_stats()["total_jobs"] == 1
    assert job("nightly")["unit"] == "hours"


def test_ids_are_stable_and_listed_as_they_were_returned(queue: Queue) -> None:
    schedule_id = SchedulerService.schedule_task("report", {"kind": "sales"}, "every 5 minutes")

    assert schedule_id == SchedulerService.schedule_task("report", {"kind": "sales"}, timedelta(minutes=5))
    described = job(schedule_id)
    assert (described["name"], described["interval"], described["unit"]) == ("report", "5", "minutes")
    assert described["last_run"] is None
    assert datetime.fromisoformat(described["next_run"]).minute % 5 == 0
    assert SchedulerService.unschedule(schedule_id)
    assert not SchedulerService.unschedule(schedule_id)


def test_default_jobs_are_listed_counted_and_turned_off_by_settings(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    SchedulerService.start_scheduler()
    assert SchedulerService.get_scheduler_stats()["total_jobs"] == 2
    assert datetime.fromisoformat(job(CLEANUP_ID)["next_run"]).time().isoformat() == "02:00:00"
    assert (job(HEALTH_CHECK_ID)["interval"], job(HEALTH_CHECK_ID)["unit"]) == ("5", "minutes")
    assert schedule.get_jobs() == [], "an application's own use of the library meets none of ours"

    singleton_service.stop()
    monkeypatch.setenv("TASKS_SCHEDULER_CLEANUP", "false")
    monkeypatch.setenv("TASKS_SCHEDULER_HEALTH_CHECK", "false")
    SchedulerService.start_scheduler()
    until(lambda: SchedulerService.get_scheduled_jobs() == [])


def test_a_new_start_does_not_double_the_default_jobs(queue: Queue) -> None:
    for _ in range(3):
        SchedulerService.start_scheduler()
        singleton_service.stop()

    assert SchedulerService.get_scheduler_stats()["total_jobs"] == 2


def test_health_checks_do_not_pile_up_while_nobody_works(queue: Queue, moved: Moved, until: Callable[..., Any]) -> None:
    SchedulerService.start_scheduler()
    for n in range(1, 4):
        moved.to_the_next(HEALTH_CHECK_ID)
        until(lambda n=n: len(history(HEALTH_CHECK_ID)) == n)
    assert len(fired(HEALTH_CHECK_ID)) == 1
    assert [fire["outcome"] for fire in history(HEALTH_CHECK_ID)] == ["skipped", "skipped", "pending"]

    WorkerService.start_workers(1)
    task_id, instant = history(HEALTH_CHECK_ID)[2]["task_id"], history(HEALTH_CHECK_ID)[2]["scheduled_for"]
    assert queue.get_result(task_id, timeout=15)["scheduled_at"] == instant
    moved.to_the_next(HEALTH_CHECK_ID)
    until(lambda: history(HEALTH_CHECK_ID)[0]["outcome"] == "completed")

    assert job(HEALTH_CHECK_ID)["runs"] == 2


def test_cleanup_forgets_what_has_passed_its_time(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, moved: Moved, until: Callable[..., Any]
) -> None:
    monkeypatch.setenv("TASKS_RESULT_TTL_SECONDS", "0")
    queue.enqueue_task("x")
    task = queue.get_next_task(timeout=5)
    assert task is not None
    assert queue.complete_task(task)
    SchedulerService.start_scheduler()

    moved.to_the_next(CLEANUP_ID)

    until(lambda: history(CLEANUP_ID))
    assert history(CLEANUP_ID)[0]["outcome"] == "done"
    assert queue.get_queue_stats()["results_kept"] == 0


def test_a_clock_that_jumped_back_fires_no_instant_twice_and_holds_up_none(
    bare: Queue, moved: Moved, until: Callable[..., Any]
) -> None:
    schedule_id = SchedulerService.schedule_task("tick", {}, "every 50 hours")
    SchedulerService.start_scheduler()
    for n in range(1, 4):
        moved.to_the_next(schedule_id)
        until(lambda n=n: len(history(schedule_id)) == n)
    ahead = SchedulerService.next_runs(schedule_id, 1)[0]

    moved(-500 * 3600)
    until(lambda: SchedulerService.next_runs(schedule_id, 1)[0] < ahead - timedelta(hours=400))
    moved(500 * 3600)
    until(lambda: len(history(schedule_id)) > 3)

    assert len(fired(schedule_id)) == len(set(fired(schedule_id)))


def test_the_tasks_own_queue_is_used_when_none_is_given(queue: Queue) -> None:
    queue.register_handler("report", lambda payload: None, queue="low")

    assert job(SchedulerService.schedule_task("report", {}, "daily"))["queue"] == "low"
    assert job(SchedulerService.schedule_task("report", {}, "daily", queue="critical"))["queue"] == "critical"
    assert job(SchedulerService.schedule_task("unknown", {}, "daily"))["queue"] == "default"


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("", {}, "daily"), {}, ValueError),
        ((None, {}, "daily"), {}, TypeError),
        (("x", [1], "daily"), {}, TypeError),
        (("x", {"a": float("nan")}, "daily"), {}, ValueError),
        (("x", {"a": "b" * 2_000_000}, "daily"), {}, ValueError),
        (("x", {}, "every 0 minutes"), {}, ValueError),
        (("x", {}, None), {}, TypeError),
        (("x", {}, "daily"), {"id": ""}, ValueError),
        (("x", {}, "daily"), {"id": "handler.x"}, ValueError),
        (("x", {}, "daily"), {"queue": "a b"}, ValueError),
        (("x", {}, "daily"), {"timezone": "Europe/Atlantis"}, ValueError),
        (("x", {}, "daily"), {"missed": "some"}, ValueError),
        (("x", {}, "daily"), {"overlap": "perhaps"}, ValueError),
        (("x", {}, "daily"), {"jitter_seconds": -1}, ValueError),
        (("x", {}, "daily"), {"max_runs": 0}, ValueError),
        (("x", {}, "daily"), {"until": "tomorrow"}, TypeError),
    ],
)
def test_a_bad_argument_schedules_nothing(
    queue: Queue, arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        SchedulerService.schedule_task(*arguments, **options)
    assert SchedulerService.get_scheduler_stats()["total_jobs"] == 0


def test_a_payload_that_the_handler_does_not_take_is_refused_before_the_first_night(queue: Queue) -> None:
    @task
    def report(day: date) -> None: ...

    with pytest.raises(ValueError, match="day: it is missing"):
        SchedulerService.schedule_task("report", {}, "daily")
    assert SchedulerService.schedule_task("report", {"day": "2026-01-31"}, "daily")
    assert SchedulerService.get_scheduler_stats()["total_jobs"] == 1


def test_run_forever_off_the_main_thread_ends_when_stopped(queue: Queue, until: Callable[..., Any]) -> None:
    ended: queues.SimpleQueue[bool] = queues.SimpleQueue()

    def run() -> None:
        SchedulerService.run_forever()
        ended.put(True)

    thread = threading.Thread(target=run)
    thread.start()
    until(scheduler_threads)
    SchedulerService.stop_scheduler()

    assert ended.get(timeout=10)
    thread.join()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_starts_a_scheduler_of_its_own(queue: Queue, until: Callable[..., Any]) -> None:
    schedule_id = SchedulerService.schedule_task("tick", {}, "every second")
    SchedulerService.start_scheduler()
    until(scheduler_threads)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            SchedulerService.stop_scheduler()
            if scheduler_threads() == []:
                SchedulerService.start_scheduler()
                SchedulerService.schedule_task("tick", {}, "every second", id="child")
                deadline = time.monotonic() + 10
                while not fired("child") and time.monotonic() < deadline:
                    time.sleep(0.01)
                status = 0 if fired("child") else 2
            singleton_service.stop()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    before = len(fired(schedule_id))
    until(lambda: len(fired(schedule_id)) > before)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server of this test's own, not started yet."""
    if REDIS_SERVER is None:
        pytest.skip(WITHOUT_REDIS)
    own = RedisServer(tmp_path)
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", own.url)
    monkeypatch.chdir(tmp_path)
    with clean_process():
        yield own
    own.kill()


def test_a_scheduler_started_without_a_server_warns_once_and_starts_when_it_is_there(
    server: RedisServer, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        SchedulerService.start_scheduler()
        SchedulerService.start_scheduler()
    assert sum("scheduler will start as soon as" in record.message for record in caplog.records) == 1
    with pytest.raises(QueueUnavailableError):
        SchedulerService.schedule_task("tick", {}, "every second")

    server.start()

    until(scheduler_threads)
    assert SchedulerService.get_scheduler_stats()["is_running"]


def test_a_scheduler_stopped_before_the_server_came_does_not_start_later(
    server: RedisServer, until: Callable[..., Any]
) -> None:
    SchedulerService.start_scheduler()
    began = time.monotonic()
    SchedulerService.stop_scheduler()
    assert time.monotonic() - began < 0.5

    server.start()

    until(lambda: not any(thread.name.endswith("late-start") for thread in threading.enumerate()))
    assert scheduler_threads() == []
    SchedulerService.start_scheduler()
    assert SchedulerService.get_scheduler_stats()["is_running"]
