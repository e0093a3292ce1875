"""Schedules that live on the server: changed from anywhere, made up for, kept from overlapping, remembered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from pydantic import AfterValidator

import singleton_service
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.scheduler.store import Store
from singleton_service.background.task_queue import ProtocolVersionError, QueueUnavailableError, TaskQueueService
from singleton_service.background.worker import WorkerService
from tests.conftest import REDIS_SERVER, WITHOUT_REDIS, RedisServer, clean_process
from tests.system.clockwork import fired, history, job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from singleton_service.background.scheduler.store import Step
    from tests.system.clockwork import Moved

Queue = type[TaskQueueService]
Until = Callable[..., Any]

HOUR_S = 3600


def outcomes(schedule_id: str) -> list[str]:
    return [fire["outcome"] for fire in history(schedule_id)]


def test_a_schedule_survives_the_processes_that_made_it(bare: Queue, until: Until, moved: Moved) -> None:
    SchedulerService.schedule_task("report", {"a": 1}, "daily at 02:00", id="nightly")
    before = job("nightly")
    singleton_service.stop()

    SchedulerService.start_scheduler()
    assert job("nightly") == before
    moved.to_the_next("nightly")

    until(lambda: len(fired("nightly")) == 1)
    assert fired("nightly")[0].time().isoformat() == "02:00:00"


def test_a_program_that_makes_it_at_each_start_has_one_with_its_instants(bare: Queue, until: Until) -> None:
    ids, instants = set(), set()
    for _ in range(10):
        ids.add(SchedulerService.schedule_task("report", {"a": 1}, "every 300 days"))
        SchedulerService.start_scheduler()
        instants.add(SchedulerService.get_scheduled_jobs()[0]["next_run"])
        singleton_service.stop()

    assert len(ids) == len(instants) == len(SchedulerService.get_scheduled_jobs()) == 1


def test_a_running_scheduler_hears_of_a_new_schedule_at_once_and_of_its_end(bare: Queue, until: Until) -> None:
    SchedulerService.start_scheduler()
    firing = SchedulerService._firing
    assert firing is not None
    until(lambda: firing._is_subscribed)
    # Were it not told, it would look in an hour.
    firing._next_beat_at += HOUR_S

    SchedulerService.schedule_task("tick", {}, "daily", id="a")
    until(lambda: firing.timetable.find("a"))
    SchedulerService.pause_job("a")
    until(lambda: not firing.timetable.find("a"))
    SchedulerService.resume_job("a")
    until(lambda: firing.timetable.find("a"))
    SchedulerService.unschedule("a")
    until(lambda: not firing.timetable.find("a"))


def test_a_change_that_was_not_heard_of_is_found_by_comparing_revisions(
    bare: Queue, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    SchedulerService.start_scheduler()
    firing = SchedulerService._firing
    assert firing is not None
    until(lambda: firing._is_subscribed)
    heard: list[Any] = []
    receive = firing._ear.receive
    monkeypatch.setattr(firing._ear, "receive", lambda: heard.append(receive()))
    # Nothing is published to it any more, and it can't know.
    firing._ear.send(b"UNSUBSCRIBE")
    until(lambda: heard)
    firing.look()
    until(lambda: not firing._heard_something)
    SchedulerService.schedule_task("tick", {}, "daily", id="a")

    firing.look()
    until(lambda: firing.timetable.find("a"))
    until(lambda: firing._ear.openings > 1 and firing._is_subscribed)
    firing._next_beat_at += HOUR_S
    SchedulerService.schedule_task("tick", {}, "daily", id="b")
    until(lambda: firing.timetable.find("b"))


def test_a_paused_schedule_fires_not_and_goes_on_with_its_next_instant(bare: Queue, until: Until, moved: Moved) -> None:
    for name in ("paused", "other"):
        SchedulerService.schedule_task("tick", {}, "hourly", id=name)
    SchedulerService.start_scheduler()

    assert SchedulerService.pause_job("paused")
    assert SchedulerService.pause_job("paused")
    for n in range(1, 3):
        moved.to_the_next("other")
        until(lambda n=n: len(history("other")) == n)
    assert (job("paused")["is_paused"], job("paused")["next_run"]) == (True, None)
    assert SchedulerService.next_runs("paused", 2) == SchedulerService.next_runs("other", 2)
    assert SchedulerService.resume_job("paused")
    moved.to_the_next("other")
    until(lambda: history("paused"))

    assert len(fired("paused")) == 1
    assert job("paused")["missed"] == 0, "nobody wanted what went by"
    assert not SchedulerService.pause_job("nobody")
    assert not SchedulerService.resume_job("nobody")


def test_a_schedule_is_fired_by_hand_beside_its_instants(bare: Queue) -> None:
    SchedulerService.schedule_task("tick", {"a": 1}, "daily", id="a")
    SchedulerService.pause_job("a")
    before = SchedulerService.next_runs("a")

    task_id = SchedulerService.run_now("a")

    assert task_id is not None
    task = bare.get_task_status(task_id)
    assert task is not None
    assert (task.payload, task.schedule_id) == ({"a": 1}, "a")
    assert task.scheduled_for is not None
    assert abs(task.scheduled_for - datetime.now(UTC)) < timedelta(minutes=1)
    (fire,) = history("a")
    assert (fire["task_id"], fire["by_hand"], fire["outcome"]) == (task_id, True, "pending")
    assert SchedulerService.next_runs("a") == before
    assert SchedulerService.run_now("nobody") is None


@pytest.mark.parametrize(("missed", "made_up", "left_out"), [("one", 1, 2), ("skip", 0, 3), ("all", 3, 0)])
def test_what_came_while_nobody_ran_is_made_up_for_as_the_schedule_says(
    bare: Queue, until: Until, moved: Moved, missed: Any, made_up: int, left_out: int
) -> None:
    SchedulerService.schedule_task("tick", {}, "hourly", id="a", missed=missed)
    (first,) = SchedulerService.next_runs("a", 1)
    SchedulerService.start_scheduler()
    SchedulerService.stop_scheduler()

    ahead_s = (first - datetime.now(UTC)).total_seconds()
    moved(ahead_s + 2.5 * HOUR_S)
    SchedulerService.start_scheduler()
    until(lambda: (job("a")["missed"], job("a")["runs"]) == (left_out, made_up))

    latest = [first + timedelta(hours=n) for n in range(3)][3 - made_up :]
    assert fired("a") == latest
    assert SchedulerService.next_runs("a", 1) == [first + timedelta(hours=3)]
    if made_up:
        assert job("a")["lateness_seconds"] >= 0.5 * HOUR_S


def test_a_machine_that_slept_makes_up_as_one_whose_server_was_down(bare: Queue, until: Until, moved: Moved) -> None:
    SchedulerService.schedule_task("tick", {}, "hourly", id="a", missed="all")
    (first,) = SchedulerService.next_runs("a", 1)
    SchedulerService.start_scheduler()

    moved((first - datetime.now(UTC)).total_seconds() + 2.5 * HOUR_S)

    until(lambda: job("a")["runs"] == 3)
    assert len(fired("a")) == 3
    assert job("a")["missed"] == 0


@pytest.mark.parametrize(
    ("overlap", "tasks", "results"),
    [
        ("allow", 3, ["pending", "pending", "pending"]),
        ("skip", 1, ["skipped", "skipped", "pending"]),
        ("queue", 3, ["pending", "pending", "pending"]),
    ],
)
def test_while_the_task_before_has_not_ended_it_is_as_the_schedule_says(
    bare: Queue, until: Until, moved: Moved, overlap: Any, tasks: int, results: list[str]
) -> None:
    SchedulerService.schedule_task("tick", {}, "every 5 hours", id="a", overlap=overlap)
    SchedulerService.start_scheduler()
    for n in range(1, 4):
        moved.to_the_next("a")
        until(lambda n=n: len(history("a")) == n)

    assert len(fired("a")) == tasks
    assert outcomes("a") == results
    assert (job("a")["runs"], job("a")["missed"]) == (tasks, 0)
    running = [bare.get_next_task(timeout=0.1) for _ in range(3)]
    at_once = [task for task in running if task is not None]
    assert len(at_once) == {"allow": 3, "skip": 1, "queue": 1}[overlap]
    assert bare.complete_task(at_once[0])
    if overlap == "queue":
        successor = bare.get_next_task(timeout=5)
        assert successor is not None
        assert successor.scheduled_for == sorted(fired("a"))[1], "in the order of their instants"
    moved.to_the_next("a")
    until(lambda: len(history("a")) == 4)
    assert len(fired("a")) == tasks + 1


def test_a_tasks_own_unique_key_goes_before_the_schedules(bare: Queue, until: Until) -> None:
    bare.register_handler("tick", lambda payload: None, unique_key="tick")
    SchedulerService.schedule_task("tick", {}, "daily", id="a", overlap="skip")
    holder = bare.enqueue_task("tick")

    assert SchedulerService.run_now("a") == holder


def test_a_schedule_ends_after_its_runs_and_at_its_time(bare: Queue, until: Until, moved: Moved) -> None:
    now = datetime.now(UTC)
    SchedulerService.schedule_task("tick", {}, "hourly", id="twice", max_runs=2)
    SchedulerService.schedule_task("tick", {}, "hourly", id="a-while", until=now + timedelta(hours=3))
    SchedulerService.schedule_task("tick", {}, "hourly", id="later", start_at=now + timedelta(hours=2))
    assert len(SchedulerService.next_runs("twice", 10)) == 2
    assert len(SchedulerService.next_runs("a-while", 10)) == 3
    assert SchedulerService.next_runs("later", 1)[0] >= now + timedelta(hours=2)
    SchedulerService.start_scheduler()

    for n in range(1, 5):
        moved.to_the_next("later" if n > 2 else "twice")
        # A task is there before its schedule has gone on.
        until(lambda n=n: len(history("twice")) == min(n, 2))
        until(lambda n=n: len(history("a-while")) == min(n, 3))
        until(lambda n=n: len(history("later")) == max(0, n - 2))

    assert (len(fired("twice")), len(fired("a-while")), len(fired("later"))) == (2, 3, 2)
    assert [job(name)["next_run"] for name in ("twice", "a-while")] == [None, None]
    SchedulerService.schedule_task("tick", {}, "hourly", id="twice", max_runs=2)
    assert SchedulerService.next_runs("twice") == [], "the same words do not begin it anew"


def test_a_task_comes_later_by_chance_and_stands_for_its_instant_all_the_same(
    bare: Queue, until: Until, moved: Moved
) -> None:
    SchedulerService.schedule_task("tick", {}, "hourly", id="a", jitter_seconds=1800)
    SchedulerService.start_scheduler()
    for n in range(1, 4):
        moved.to_the_next("a")
        until(lambda n=n: len(history("a")) == n)

    tasks = [task for task in bare.list_tasks().tasks if task.eta is not None and task.scheduled_for is not None]
    late = {(task.eta - task.scheduled_for).total_seconds() for task in tasks if task.eta and task.scheduled_for}
    assert len(late) == 3, "each has its own"
    assert all(0 < seconds <= 1800 for seconds in late)
    assert all(instant.minute == 0 for instant in fired("a"))


def test_a_fire_that_was_enqueued_and_not_gone_on_from_is_healed_by_the_next(
    bare: Queue, until: Until, moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    SchedulerService.schedule_task("tick", {}, "hourly", id="a")
    SchedulerService.start_scheduler()
    crashes: list[int] = []
    advance = Store.advance

    def crash_first(store: Store, steps: Sequence[Step]) -> list[bool]:
        if len(crashes) < 2:
            crashes.append(len(fired("a")))
            raise QueueUnavailableError("here", "killed") if crashes == [1] else KeyboardInterrupt
        return advance(store, steps)

    monkeypatch.setattr(Store, "advance", crash_first)
    moved.to_the_next("a")

    until(lambda: history("a"))
    assert crashes == [1, 1], "it was enqueued each time"
    assert len(fired("a")) == 1
    assert (job("a")["runs"], job("a")["missed"]) == (1, 0)


def test_outcomes_are_those_of_the_tasks_as_they_are_now(bare: Queue, until: Until, moved: Moved) -> None:
    bare.register_handler("tick", lambda payload: None)
    SchedulerService.schedule_task("tick", {}, "hourly", id="a")
    SchedulerService.start_scheduler()
    moved.to_the_next("a")
    until(lambda: outcomes("a") == ["pending"])
    assert history("a")[0]["lateness_seconds"] >= 0

    WorkerService.start_workers(1)
    until(lambda: outcomes("a") == ["completed"])
    bare.delete_task(history("a")[0]["task_id"])
    assert outcomes("a") == ["forgotten"]
    assert history("nobody") == []


def test_a_schedule_that_cannot_fire_holds_up_no_other_and_is_tried_again(
    bare: Queue, until: Until, moved: Moved, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bad", "good"):
        SchedulerService.schedule_task(name, {}, "hourly", id=name)

    def wants_more(day: str) -> None: ...

    takes: Any = wants_more
    bare.register_handler("bad", takes)
    SchedulerService.start_scheduler()
    moved.to_the_next("good")

    until(lambda: fired("good") and SchedulerService.get_scheduler_stats()["scheduler_errors"] >= 3)
    assert len([record for record in caplog.records if "'bad' could not fire" in record.message]) == 1
    assert SchedulerService.get_scheduler_stats()["pending_jobs"] == 1
    bare.register_handler("bad", lambda payload: None)
    until(lambda: fired("bad"))
    assert fired("bad") == fired("good"), "the instant that failed, not lost"


def test_what_a_payloads_own_check_raises_holds_up_no_other(bare: Queue, until: Until, moved: Moved) -> None:
    class Day:
        def __init__(self) -> None:
            raise RuntimeError("no day today")

    class Odd(TypedDict):
        day: Annotated[str, AfterValidator(lambda _: Day())]

    for name in ("odd", "good"):
        SchedulerService.schedule_task(name, {"day": "x"}, "hourly", id=name)
    takes: Any = lambda payload: None  # noqa: E731 - its annotation is set below
    takes.__annotations__ = {"payload": Odd}
    bare.register_handler("odd", takes)
    SchedulerService.start_scheduler()
    moved.to_the_next("good")

    until(lambda: fired("good") and SchedulerService.get_scheduler_stats()["scheduler_errors"] >= 2)
    assert SchedulerService._firing is not None
    assert SchedulerService._firing.starts == 1, "its thread lives"


def test_a_definition_of_a_newer_version_is_left_to_those_that_know_it(
    bare: Queue, until: Until, moved: Moved, caplog: pytest.LogCaptureFixture
) -> None:
    SchedulerService.schedule_task("tick", {}, "hourly", id="a")
    SchedulerService._open_store().put("newer", b'{"v":99}', 0)
    SchedulerService.start_scheduler()
    moved.to_the_next("a")

    until(lambda: fired("a"))
    assert "schedule 'newer' is left to others: it was made by a newer version" in caplog.text
    assert [found["id"] for found in SchedulerService.get_scheduled_jobs()] == ["a"]
    with pytest.raises(ValueError, match="newer version"):
        SchedulerService.next_runs("newer")


def test_a_scheduler_of_an_older_version_says_so_once_and_fires_nothing(
    bare: Queue, until: Until, moved: Moved, caplog: pytest.LogCaptureFixture
) -> None:
    SchedulerService.schedule_task("tick", {}, "hourly", id="a")
    SchedulerService.start_scheduler()
    firing = SchedulerService._firing
    assert firing is not None
    facts = SchedulerService._open_store().keys.key("facts")
    bare._open_client().link.call(b"HSET", facts, b"protocol", 99)

    for _ in range(3):
        told = firing._outages
        firing.look()
        until(lambda told=told: firing._outages > told)
    assert len([record for record in caplog.records if "Upgrade singleton-service" in record.message]) == 1
    with pytest.raises(ProtocolVersionError):
        SchedulerService.schedule_task("tick", {}, "hourly", id="b")
    bare._open_client().link.call(b"HDEL", facts, b"protocol")

    moved.to_the_next("a")
    until(lambda: fired("a"))
    assert firing.starts == 1


def test_next_runs_are_those_of_the_zone(bare: Queue) -> None:
    SchedulerService.schedule_task("tick", {}, "0 9 * * *", id="a", timezone="Europe/Berlin")

    assert job("a")["timezone"] == "Europe/Berlin"
    assert {run.hour for run in SchedulerService.next_runs("a", 366)} == {7, 8}
    assert SchedulerService.next_runs("nobody") == []
    with pytest.raises(ValueError, match="n 0 is out of range"):
        SchedulerService.next_runs("a", 0)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server of this test's own, with a memory."""
    if REDIS_SERVER is None:
        pytest.skip(WITHOUT_REDIS)
    own = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    monkeypatch.setenv("REDIS_URL", own.url)
    monkeypatch.setenv("TASKS_SCHEDULER_HEALTH_CHECK", "false")
    monkeypatch.setenv("TASKS_SCHEDULER_CLEANUP", "false")
    monkeypatch.chdir(tmp_path)
    with clean_process():
        yield own.start()
    own.kill()


def test_instants_that_come_while_the_server_is_away_are_fired_when_it_is_back(
    server: RedisServer, until: Until
) -> None:
    # However long it is away.
    SchedulerService.schedule_task("tick", {}, "every second", id="a", missed="all")
    SchedulerService.start_scheduler()
    until(lambda: history("a"))
    firing = SchedulerService._firing
    assert firing is not None

    server.kill()
    until(lambda: firing._outages >= 2)
    server.start()

    count = len(fired("a"))
    until(lambda: len(fired("a")) >= count + 2)
    instants = fired("a")
    assert instants == [instants[0] + timedelta(seconds=n) for n in range(len(instants))], (
        "none is missing, none double"
    )
    assert SchedulerService.get_scheduler_stats()["is_running"]


def test_a_server_that_lost_its_memory_is_told_again_what_is_declared(
    server: RedisServer, until: Until, tmp_path: Path
) -> None:
    TaskQueueService.register_handler("tick", lambda payload: None, schedule="daily")
    SchedulerService.start_scheduler()
    until(lambda: job("handler.tick"))

    TaskQueueService._open_client().link.call(b"FLUSHALL")
    assert SchedulerService._firing is not None
    SchedulerService._firing.look()

    until(SchedulerService.get_scheduled_jobs)
    assert job("handler.tick")["is_declared"]
