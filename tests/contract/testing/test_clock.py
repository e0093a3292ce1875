"""The clock that a test moves: what is delayed, tried again, expires or is kept for a time knows no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    TaskExpiredError,
    TaskHandler,
    TaskNotFoundError,
    TaskQueueService,
    TaskStatus,
    task,
)
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.testing import TaskQueueBench

A_MOMENT = timedelta(seconds=20)


def test_what_is_delayed_by_days_runs_when_they_have_passed(task_queue: TaskQueueBench) -> None:
    class Remind(TaskHandler):
        @classmethod
        def perform(cls) -> str:
            return "reminded"

    handles = [Remind.perform_in(3 * 86_400), Remind.perform_at(task_queue.clock.now() + timedelta(days=14))]
    task_queue.clock.move(days=2, hours=23, minutes=59)
    assert task_queue.drain() == []

    task_queue.clock.move(timedelta(minutes=1))
    assert len(task_queue.drain()) == 1
    assert [handle.status for handle in handles] == [TaskStatus.COMPLETED, TaskStatus.PENDING]

    task_queue.clock.move(weeks=2)
    assert len(task_queue.drain()) == 1


def test_retries_come_as_late_as_their_policy_says(task_queue: TaskQueueBench) -> None:
    @task(max_retries=3, retry_delay_seconds=60, retry_backoff=True)
    def fail() -> None:
        raise ValueError

    handle = fail.enqueue()
    task_queue.drain(errors="collect")
    for delay_s in (60, 120, 240):
        task_queue.clock.move(seconds=delay_s - 5)
        assert task_queue.drain(errors="collect") == []
        task_queue.clock.move(seconds=5)
        assert len(task_queue.drain(errors="collect")) == 1
    assert handle.status is TaskStatus.FAILED


def test_every_time_that_is_kept_is_the_moved_one(task_queue: TaskQueueBench) -> None:
    # A whole one: times are kept in milliseconds, and the first is made before the next begins.
    then = (datetime.now(UTC) + timedelta(days=100)).replace(microsecond=0)
    task_queue.clock.move_to(then)

    @task(max_retries=1, retry_delay_seconds=0)
    def fail_once(payload: dict[str, Any]) -> None:
        raise ValueError

    given = TaskQueueService.enqueue_task("fail_once", task_id="given")
    for task_id in (fail_once.enqueue().id, given):
        task_queue.drain(errors="collect")
        known = TaskQueueService.get_task_status(task_id)
        assert known is not None
        assert known.started_at is not None
        assert known.completed_at is not None
        for moment in (known.created_at, known.started_at, known.completed_at, known.errors[-1].when):
            assert then <= moment < then + A_MOMENT


def test_what_has_expired_is_not_run(task_queue: TaskQueueBench) -> None:
    @task(expires_in=3600)
    def offer() -> None:
        pytest.fail("nobody wants it any more")

    handle = offer.enqueue()
    task_queue.clock.move(hours=1)
    assert task_queue.drain() == []
    with pytest.raises(TaskExpiredError):
        _ = handle.result


def test_results_are_kept_as_long_as_the_settings_say(task_queue: TaskQueueBench) -> None:
    @task
    def add(a: int) -> int:
        return a

    handle = add.enqueue(a=1)
    task_queue.drain()
    task_queue.clock.move(hours=23)
    assert handle.result == 1
    task_queue.clock.move(hours=2)
    with pytest.raises(TaskNotFoundError):
        _ = handle.result


def test_a_rate_limit_gives_way_as_time_passes(task_queue: TaskQueueBench) -> None:
    @task
    def call() -> None: ...

    TaskQueueService.set_queue_limits("default", rate=1, per_seconds=3600)
    for _ in range(3):
        call.enqueue()
    assert len(task_queue.drain()) == 1
    # And a moment: the task began a part of a millisecond after what the clock says.
    task_queue.clock.move(hours=1, seconds=1)
    assert len(task_queue.drain()) == 1


def test_workers_hear_of_the_new_time_at_once(task_queue: TaskQueueBench) -> None:
    @task
    def late() -> str:
        return "done"

    WorkerService.start_workers(1)
    handles = [late.enqueue()]
    TaskQueueService.enqueue_task("late", {}, delay_seconds=86_400, task_id="tomorrow")
    assert handles[0].get(timeout=10) == "done"
    task_queue.clock.move(days=1)
    assert TaskQueueService.get_result("default.=tomorrow", timeout=10) == "done"


def test_the_clock_says_what_time_it_is_and_goes_on_after_a_restart_of_the_services(
    task_queue: TaskQueueBench, until: Callable[..., object]
) -> None:
    import singleton_service

    assert task_queue.clock.now() - datetime.now(UTC) < A_MOMENT
    TaskQueueService.enqueue_task("later", {}, delay_seconds=60)
    task_queue.clock.move(days=1)
    singleton_service.stop()

    assert timedelta(days=1) <= task_queue.clock.now() - datetime.now(UTC) + A_MOMENT
    TaskQueueService.register_handler("later", lambda payload: "done")
    assert len(task_queue.drain()) == 1


def test_each_test_begins_at_the_real_time(task_queue: TaskQueueBench) -> None:
    assert abs(task_queue.clock.now() - datetime.now(UTC)) < A_MOMENT


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (lambda clock: clock.move(), "can't be moved by 0:00:00"),
        (lambda clock: clock.move(days=-1), "time goes forward"),
        (lambda clock: clock.move(days=3, hours=-72), "time goes forward"),
        (lambda clock: clock.move(3), r"move\(3\) is no time: write move\(days=3\)"),
        (lambda clock: clock.move_to(datetime(2020, 1, 1, tzinfo=UTC)), "2020-01-01 00:00:00.*time goes forward"),
        (lambda clock: clock.move_to("tomorrow"), "'tomorrow'.* is no point in time"),
        (lambda clock: clock.move(days=4_000_000), "out of range"),
    ],
)
def test_a_move_that_can_not_be_is_refused(task_queue: TaskQueueBench, move: Callable[[Any], None], said: str) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError), match=said):
        move(task_queue.clock)
    assert abs(task_queue.clock.now() - datetime.now(UTC)) < A_MOMENT
