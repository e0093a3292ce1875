"""assert_enqueued(): what a test may expect, and what it is told when that is not so."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from singleton_service.background.task_queue import TaskHandler, TaskQueueService, TaskRequest, TaskStatus, task
from singleton_service.background.testing import TaskHeldError

if TYPE_CHECKING:
    from singleton_service.background.testing import TaskQueueBench


def enqueue(name: str = "send_email", **options: Any) -> str:
    return TaskQueueService.enqueue_task(name, {"to": "a@b.c", "cc": ["d@e.f"]}, **options)


def test_a_task_is_found_by_its_name_its_function_and_its_class(task_queue: TaskQueueBench) -> None:
    @task(name="mail")
    def send(to: str) -> None: ...

    class Report(TaskHandler):
        @classmethod
        def perform(cls, day: date) -> None: ...

    send.enqueue(to="a@b.c")
    Report.perform_async(day=date(2024, 1, 31))

    (found,) = task_queue.assert_enqueued(send, to="a@b.c")
    assert (found.name, found.payload, found.status) == ("mail", {"to": "a@b.c"}, TaskStatus.PENDING)
    assert task_queue.assert_enqueued("mail") == [found]
    task_queue.assert_enqueued(Report, day=date(2024, 1, 31))
    task_queue.assert_enqueued(Report, day="2024-01-31")
    for odd in (TaskHandler, print, None):
        with pytest.raises(TypeError, match="is no task: pass its name"):
            task_queue.assert_enqueued(odd)  # type: ignore[arg-type]


def test_a_part_of_the_payload_is_enough_and_matchers_may_stand_in_it(task_queue: TaskQueueBench) -> None:
    enqueue()
    task_queue.assert_enqueued("send_email")
    task_queue.assert_enqueued("send_email", {"to": "a@b.c"})
    task_queue.assert_enqueued("send_email", {"to": "a@b.c"}, cc=mock.ANY)
    task_queue.assert_enqueued("send_email", cc=["d@e.f"])
    wrongs: list[dict[str, object]] = [{"to": "x@y.z"}, {"bcc": "a@b.c"}, {"cc": []}, {"to": object()}]
    for wrong in wrongs:
        with pytest.raises(AssertionError, match="no task 'send_email'"):
            task_queue.assert_enqueued("send_email", wrong)


def test_delays_queues_and_numbers_count_when_they_are_given(task_queue: TaskQueueBench) -> None:
    enqueue()
    enqueue(delay_seconds=90, queue="low")
    enqueue(eta=task_queue.clock.now() + timedelta(days=2))

    task_queue.assert_enqueued("send_email", count=3)
    task_queue.assert_enqueued("send_email", delay=0, count=1)
    task_queue.assert_enqueued("send_email", delay=90, queue="low")
    task_queue.assert_enqueued("send_email", delay=timedelta(days=2), queue="default")
    task_queue.assert_enqueued("send_sms", count=0)
    for wrong in (
        {"delay": 91},
        {"delay": 90, "queue": "default"},
        {"count": 2},
        {"count": 0},
        {"delay": 0, "count": 2},
    ):
        with pytest.raises(AssertionError):
            task_queue.assert_enqueued("send_email", **wrong)


def test_a_task_counts_when_it_is_done_too_and_a_retry_is_no_other(task_queue: TaskQueueBench) -> None:
    @task(max_retries=1, retry_delay_seconds=0)
    def send() -> None:
        raise ZeroDivisionError

    send.enqueue()
    assert len(task_queue.drain(errors="collect")) == 2
    task_queue.assert_enqueued(send, count=1)
    assert [each.name for each in task_queue.enqueued] == ["send"]


def test_only_what_went_in_counts(task_queue: TaskQueueBench) -> None:
    enqueue(unique_key="one")
    enqueue(unique_key="one")
    enqueue("other", task_id="same")
    enqueue("other", task_id="same")
    with pytest.raises(ValueError, match="name"):
        enqueue("")
    TaskQueueService.enqueue_many([TaskRequest("many", {"n": n}) for n in range(3)])

    task_queue.assert_enqueued("send_email", count=1)
    task_queue.assert_enqueued("other", count=1)
    task_queue.assert_enqueued("many", count=3)
    assert [each.name for each in task_queue.enqueued] == ["send_email", "other", *["many"] * 3]
    assert all(each.created_at <= datetime.now(UTC) for each in task_queue.enqueued if each.name == "many")


def test_the_error_shows_what_was_enqueued_instead_and_where_it_differs(task_queue: TaskQueueBench) -> None:
    TaskQueueService.enqueue_task("make_thumbnail", {"path": "a.png"}, queue="low")
    TaskQueueService.enqueue_task("send_email", {"to": "a@b.c", "text": "x" * 100}, delay_seconds=60)

    differences = "to is 'a@b.c', subject is missing, queue is 'default', delay is 1m"

    with pytest.raises(AssertionError) as caught:
        task_queue.assert_enqueued("send_email", to="x@y.z", subject="Hi", delay=0, queue="low")
    assert str(caught.value).splitlines() == [
        "no task 'send_email' with to='x@y.z', subject='Hi', delay=0s, queue='low' was enqueued",
        "Enqueued were:",
        f"  send_email(to='a@b.c', text={repr('x' * 100)[:57]}...) in queue 'default', delay=1m   <- {differences}",
        "  make_thumbnail(path='a.png') in queue 'low'",
    ]
    with pytest.raises(AssertionError, match=r"^2 tasks 'send_email' were expected, and 1 enqueued\n"):
        task_queue.assert_enqueued("send_email", count=2)


def test_the_error_knows_a_slip_of_the_pen_an_empty_queue_and_when_to_stop(task_queue: TaskQueueBench) -> None:
    @task
    def send_email() -> None: ...

    with pytest.raises(AssertionError) as caught:
        task_queue.assert_enqueued("send_emial")
    assert str(caught.value) == (
        "no task 'send_emial' was enqueued; did you mean 'send_email'?\nNothing was enqueued at all."
    )
    for _ in range(25):
        send_email.enqueue()
    with pytest.raises(AssertionError, match=r"\n  and 5 more$"):
        task_queue.assert_enqueued("send_sms")


@pytest.mark.parametrize(
    ("delay", "words"), [(0, "0s"), (0.5, "0.5s"), (90, "1m 30s"), (5400, "1h 30m"), (14 * 86_400, "14d")]
)
def test_a_delay_is_told_in_its_own_units(task_queue: TaskQueueBench, delay: float, words: str) -> None:
    with pytest.raises(AssertionError, match=f"delay={words} was enqueued"):
        task_queue.assert_enqueued("send_email", delay=delay)


def test_the_error_points_at_the_line_of_the_test(task_queue: TaskQueueBench) -> None:
    with pytest.raises(AssertionError) as caught:
        task_queue.assert_enqueued("send_email")
    shown = [entry for entry in caught.traceback if not entry.ishidden(caught)]
    assert [Path(entry.path).name for entry in shown] == ["test_enqueued.py"]


@pytest.mark.parametrize("durability", ["memory", "disk", "replica"])
def test_a_task_that_has_to_be_safe_is_taken_in_without_a_disk_or_replicas(
    task_queue: TaskQueueBench, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    monkeypatch.setenv("TASKS_DURABILITY", durability)
    enqueue(durability=durability)
    enqueue()
    task_queue.assert_enqueued("send_email", count=2)
    with pytest.raises(ValueError, match="durability 'stone' is unknown"):
        enqueue(durability="stone")


def test_errors_of_the_kit_survive_a_trip_between_processes() -> None:
    error = TaskHeldError("default.1", "resize", "No handler registered for task: resize")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.task_id, copy.name, copy.reason) == (str(error), error.task_id, error.name, error.reason)
