"""Taking tasks in, and refusing to, on every engine."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import singleton_service
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import (
    EnqueueError,
    NotAcceptingError,
    QueueFullError,
    TaskQueueService,
    TaskRequest,
    task,
)

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
        until(lambda: "could not fire" in caplog.text)
    assert "resume_accepting_tasks" in caplog.text
    assert queue.get_queue_stats()["tasks_queued"] == 0

    queue.resume_accepting_tasks()
    until(lambda: any(task.schedule_id == schedule_id for task in queue.list_tasks().tasks))


@pytest.fixture
def limited(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("TASKS_MAX_BACKLOG", "1500")
    return queue


def test_a_full_queue_refuses_and_says_why_and_what_to_do(limited: Queue) -> None:
    ids = limited.enqueue_many([TaskRequest("x") for _ in range(1500)])
    with pytest.raises(QueueFullError, match=r"'default' holds 1,500 .* TASKS_MAX_BACKLOG allows 1,500.*wait_for_room"):
        limited.enqueue_task("x")
    limited.enqueue_task("x", queue="low")
    assert limited.cancel_task(ids[7])
    limited.enqueue_task("x")
    with pytest.raises(QueueFullError) as refused:
        limited.enqueue_many([TaskRequest("x")])
    assert (refused.value.queue, refused.value.limit, refused.value.unstarted) == ("default", 1500, 1500)


def test_of_a_batch_what_fits_goes_in_and_is_told(limited: Queue) -> None:
    with pytest.raises(EnqueueError, match="1500 tasks were enqueued") as refused:
        limited.enqueue_many([TaskRequest("x", {"n": n}) for n in range(2300)])
    assert isinstance(refused.value.__cause__, QueueFullError)
    accepted = refused.value.accepted
    assert len(accepted) == limited.get_queue_stats()["tasks_queued"] == 1500
    numbers = []
    for task_id in (accepted[0], accepted[999], accepted[-1]):
        there = limited.get_task_status(task_id)
        assert there is not None
        numbers.append(there.payload["n"])
    assert numbers == [0, 999, 1499], "in the order given"


def test_who_waits_for_room_gets_in_as_it_comes(limited: Queue, in_thread: Any, until: Any) -> None:
    limited.enqueue_many([TaskRequest("x") for _ in range(1500)])
    more: list[str] = []
    in_thread(lambda: more.extend(limited.enqueue_many([TaskRequest("y") for _ in range(20)], wait_for_room=30)))
    for n in range(20):
        until(lambda n=n: limited.get_queue_stats()["tasks_queued"] == 1500 + n)
        assert limited.get_next_task(timeout=5) is not None
    until(lambda: len(more) == 20)
    with pytest.raises(QueueFullError):
        limited.enqueue_task("x", wait_for_room=0.05)
    with pytest.raises(ValueError, match="wait_for_room -1"):
        limited.enqueue_task("x", wait_for_room=-1)


def test_who_waits_for_room_is_told_when_the_process_stops_accepting(limited: Queue, in_thread: Any) -> None:
    limited.enqueue_many([TaskRequest("x") for _ in range(1500)])

    def wait() -> None:
        with pytest.raises(NotAcceptingError):
            limited.enqueue_task("x", wait_for_room=30)

    waiting = in_thread(wait)
    limited.stop_accepting_tasks()
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_schedule_that_finds_the_queue_full_warns_and_is_fired_when_there_is_room(
    limited: Queue, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    limited.enqueue_many([TaskRequest("x") for _ in range(1500)])
    schedule_id = SchedulerService.schedule_task("tick", {}, "every second")
    with caplog.at_level(logging.WARNING):
        SchedulerService.start_scheduler()
        until(lambda: "TASKS_MAX_BACKLOG allows 1,500" in caplog.text)
    assert "Traceback" not in caplog.text
    assert limited.get_next_task(timeout=5) is not None
    until(lambda: SchedulerService.get_scheduler_stats()["jobs_executed"])
    (job,) = [job for job in SchedulerService.get_scheduled_jobs() if job["id"] == schedule_id]
    assert limited.get_task_status(job["last_task_id"]) is not None


def test_threads_that_enqueue_at_once_each_have_the_answer_to_their_own_task(
    queue: Queue, in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_MAX_BACKLOG", "200")
    payload_of: dict[str, dict[str, Any]] = {}
    refused: list[int] = []

    def enqueue(line: int) -> None:
        for n in range(40):
            payload = {"n": line * 40 + n}
            try:
                payload_of[queue.enqueue_task("x", payload, unique_key=f"key-{n}" if line < 2 else None)] = payload
            except QueueFullError:
                refused.append(payload["n"])

    threads = [in_thread(lambda line=line: enqueue(line)) for line in range(8)]
    for thread in threads:
        thread.join()

    assert queue.get_queue_stats()["tasks_queued"] == 200
    # Who has a key stands for whoever asks for it later, and is refused nothing.
    assert len(payload_of) == 200
    assert len(refused) >= 320 - 200 - 40
    for task_id, payload in payload_of.items():
        found = queue.get_task_status(task_id)
        assert found is not None
        assert found.payload == payload or (found.unique_key and found.payload["n"] % 40 == payload["n"] % 40)
