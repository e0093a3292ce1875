"""The verbs of the command line about schedules, on every engine; in this process, with its queue."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.cli.main import run
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import TaskQueueService

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]


@pytest.fixture
def call(queue: Queue, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command; it stops the services at its end, and the test's next call starts them again."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["schedules", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def ask(call: Callable[..., tuple[int, str, str]]) -> Callable[..., Any]:
    """Run a command with --json that must succeed, and return what it printed."""

    def ask(*arguments: str) -> Any:
        code, out, err = call(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return ask


def test_a_schedule_is_added_as_it_is_typed(ask: Any) -> None:
    later = (datetime.now(UTC) + timedelta(days=400)).isoformat(timespec="seconds")

    added = ask(
        *(
            "add",
            "report",
            "every mon and fri at 9:00",
            "kind=sales",
            "size:=3",
            "--timezone",
            "Asia/Tokyo",
            "--id",
            "twice",
        ),
        *(
            "--queue",
            "low",
            "--start-at",
            later,
            "--max-runs",
            "7",
            "--missed",
            "all",
            "--overlap",
            "skip",
            "--jitter",
            "2m",
        ),
    )

    (job,) = ask("list")["schedules"]
    assert added == {"id": "twice"}
    assert (job["id"], job["name"], job["payload"], job["queue"]) == (
        "twice",
        "report",
        {"kind": "sales", "size": 3},
        "low",
    )
    assert (job["expression"], job["timezone"]) == ("every monday and friday at 09:00", "Asia/Tokyo")
    assert (job["start_at"], job["until"], job["max_runs"]) == (later, None, 7)
    assert (job["missed_policy"], job["overlap"], job["jitter_seconds"]) == ("all", "skip", 120)
    assert job["next_run"] >= later


def test_one_that_is_added_twice_is_one(call: Any, ask: Any) -> None:
    code, out, err = call("add", "report", "daily at 02:00")
    again = ask("add", "report", "every day at 2:00")

    assert (code, again["id"]) == (0, out.strip())
    assert err.startswith("Every day at 02:00 (UTC), next ")
    assert len(ask("list")["schedules"]) == 1


def test_a_schedule_is_paused_resumed_fired_and_shown(queue: Queue, call: Any, ask: Any) -> None:
    ask("add", "report", "daily at 02:00", "a=b", "--id", "nightly")

    assert ask("pause", "nightly") == {"id": "nightly", "changed": True}
    assert ask("pause", "nightly") == {"id": "nightly", "changed": False}
    fired = ask("run", "nightly")["id"]
    paused = ask("show", "nightly")
    assert ask("resume", "nightly") == {"id": "nightly", "changed": True}
    resumed = ask("show", "nightly")

    task = queue.get_task_status(fired)
    assert task is not None
    assert (task.name, task.payload, task.schedule_id) == ("report", {"a": "b"}, "nightly")
    assert (paused["is_paused"], paused["next_run"], paused["next_runs"]) == (True, None, [])
    assert [(fire["task_id"], fire["outcome"], fire["by_hand"]) for fire in paused["history"]] == [
        (fired, "pending", True)
    ]
    assert resumed["next_runs"][0] == resumed["next_run"]
    assert len(resumed["next_runs"]) == 3
    shown = call("show", "nightly")[1]
    assert any(line.split()[:2] == ["last", "task"] and fired in line for line in shown.splitlines())
    assert any("by hand  pending" in line for line in shown.splitlines())


def test_a_schedule_is_removed_by_whoever_says_so(queue: Queue, call: Any, ask: Any) -> None:
    ask("add", "report", "daily at 02:00", "--id", "nightly")
    fired = ask("run", "nightly")["id"]

    code, _, err = call("remove", "nightly")
    assert (code, err.splitlines()[-1]) == (2, "  try: say --yes (-y)")
    assert ask("remove", "nightly", "-y") == {"id": "nightly", "changed": True}

    assert ask("list") == {"schedules": []}
    assert call("list")[2] == "no schedules\n"
    assert queue.get_task_status(fired) is not None, "what it enqueued stays"


@pytest.mark.parametrize("verb", ["show", "pause", "resume", "run", "remove"])
def test_a_schedule_that_nobody_knows_is_not_found(call: Any, ask: Any, verb: str) -> None:
    ask("add", "report", "daily at 02:00", "--id", "nightly")

    code, _, err = call(verb, "nihgtly")

    assert code == 4
    assert err == (
        "Error: there is no schedule 'nihgtly': did you mean 'nightly'?\n  try: singleton-service schedules list\n"
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["report", "every 90 minuts"], "  try: every 90 minutes"),
        (["report", "daily", "--timezone", "berlin"], "Try 'Europe/Berlin'"),
        (["report", "daily", "--max-runs", "0"], "max_runs 0"),
        (["report", "daily", "--until", "tomorrow"], "'tomorrow' is no time"),
        (["report", "daily", "kind"], "'kind' is no value"),
        (["re\nport", "daily"], "name"),
    ],
)
def test_a_wrong_call_adds_nothing(call: Any, ask: Any, arguments: list[str], complaint: str) -> None:
    code, out, err = call("add", *arguments)

    assert (code, out) == (2, "")
    assert complaint in err
    assert ask("list") == {"schedules": []}


def test_what_code_declares_comes_back_and_the_command_says_so(queue: Queue, call: Any, ask: Any, until: Any) -> None:
    queue.register_handler("beat", print, schedule="daily at 02:00")
    SchedulerService.start_scheduler()
    until(lambda: "handler.beat" in {job["id"] for job in SchedulerService.get_scheduled_jobs()})

    code, out, err = call("remove", "handler.beat", "-y")

    assert (code, out) == (0, "schedule 'handler.beat' is removed\n")
    assert "code declares it" in err
