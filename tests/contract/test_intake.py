"""Taking tasks in, and refusing to, on every engine."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import singleton_service
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import NotAcceptingError, TaskQueueService, TaskRequest, task

Queue = type[TaskQueueService]


def test_a_process_that_stopped_accepting_refuses_every_enqueue_and_says_the_way_out(queue: Queue) -> None:
    @task(name="intake-tick")
    def tick(payload: dict[str, Any]) -> None:
        """Do nothing."""

    assert queue.is_accepting_tasks()
    queue.stop_accepting_tasks()
    queue.stop_accepting_tasks()
    assert not queue.is_accepting_tasks()
    for enqueue in (lambda: queue.enqueue_task("x"), lambda: queue.enqueue_many([TaskRequest("x")]), tick.enqueue):
        with pytest.raises(NotAcceptingError, match="resume_accepting_tasks"):
            enqueue()
    assert queue.get_queue_stats()["tasks_queued"] == 0

    queue.resume_accepting_tasks()
    assert queue.is_accepting_tasks()
    queue.enqueue_task("x")
    assert queue.get_queue_stats()["tasks_queued"] == 1


def test_what_is_in_the_queue_is_taken_retried_and_finished_all_the_same(queue: Queue) -> None:
    queue.register_handler("x", print, retry_delay_seconds=0)
    queue.enqueue_task("x")
    queue.stop_accepting_tasks()
    first = queue.get_next_task(timeout=5)
    assert first is not None
    assert queue.fail_task(first, "again")
    again = queue.get_next_task(timeout=5)
    assert again is not None
    assert queue.complete_task(again)


def test_a_process_stays_closed_however_often_its_services_are_started(queue: Queue) -> None:
    queue.stop_accepting_tasks()
    queue.get_queue_stats()
    singleton_service.stop()
    with pytest.raises(NotAcceptingError):
        queue.enqueue_task("x")


def test_a_schedule_that_comes_due_meanwhile_is_fired_when_accepting_is_resumed(
    queue: Queue, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    queue.stop_accepting_tasks()
    schedule_id = SchedulerService.schedule_task("tick", {}, "every second")
    with caplog.at_level(logging.WARNING):
        SchedulerService.start_scheduler()
        until(lambda: SchedulerService.get_scheduler_stats()["scheduler_errors"])
    assert "could not fire" in caplog.text
    assert "resume_accepting_tasks" in caplog.text
    assert queue.get_queue_stats()["tasks_queued"] == 0

    queue.resume_accepting_tasks()
    until(lambda: any(task.schedule_id == schedule_id for task in queue.list_tasks().tasks))
