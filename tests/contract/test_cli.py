"""The verbs of the command line that look and change, on every engine; in this process, with its queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.cli.main import run as run_command
from singleton_service.background.task_queue import TaskPriority, TaskQueueService, TaskRequest, TaskStatus
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Surroundings

ROOT = Path(__file__).parents[2]

Queue = type[TaskQueueService]


@pytest.fixture
def call(queue: Queue, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command; it stops the services at its end, and the test's next call starts them again."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def ask(call: Callable[..., tuple[int, str, str]]) -> Callable[..., Any]:
    """Run a command with --json that must succeed, and return what it printed."""

    def run(*arguments: str) -> Any:
        code, out, err = call(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


def fail_all(queue: Queue) -> None:
    while (task := queue.get_next_task(timeout=0)) is not None:
        queue.fail_task(task, "no such address", retry=False)


def fail(queue: Queue, *names: str) -> list[str]:
    ids = queue.enqueue_many([TaskRequest(name, {"to": name}, max_retries=0) for name in names])
    fail_all(queue)
    return ids


def status(queue: Queue, task_id: str) -> TaskStatus | None:
    task = queue.get_task_status(task_id)
    return task.status if task else None


def test_what_is_typed_becomes_the_payload(queue: Queue, ask: Any) -> None:
    payload = '{"size": 1, "kept": true}'
    task_id = ask("enqueue", "resize", "to=a=b", "size:=3", "tags:=[1]", "--payload", payload)["id"]
    task = queue.get_task_status(task_id)
    assert task is not None
    assert task.payload == {"size": 3, "kept": True, "to": "a=b", "tags": [1]}


def test_where_and_when_are_typed_too(queue: Queue, ask: Any) -> None:
    task = queue.get_task_status(ask("enqueue", "x", "--queue", "low", "--priority", "high", "--in", "1h30m")["id"])
    assert task is not None
    assert (task.queue, task.priority) == ("low", TaskPriority.HIGH)
    assert task.eta is not None
    assert round((task.eta - task.created_at).total_seconds()) == 5400
    later = queue.get_task_status(ask("enqueue", "x", "--at", "2999-01-01T12:00+02:00")["id"])
    assert later is not None
    assert later.eta is not None
    assert later.eta.isoformat() == "2999-01-01T10:00:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["to"], "'to' is no value: write it as key=text or key:=JSON, as in size:=3"),
        (["size:=three"], "size: 'three' is no JSON"),
        (["--payload", "[1]"], "--payload '[1]' is no JSON object"),
        (["--in", "soon"], "Invalid value for '--in': 'soon' is no duration: write it as 90 (seconds), 10m"),
        (["--at", "noon"], "Invalid value for '--at': 'noon' is no time: write it as 18:30"),
        (["--in", "1m", "--at", "18:30"], "a task can't have both --in and --at"),
        (["--timeout", "5"], "--timeout says how long to wait"),
        (["--queue", "a b"], "queue 'a b' is not a queue name"),
        (["--priority", "urgent"], "Invalid value for '--priority': 'urgent' is not one of"),
    ],
)
def test_a_wrong_value_is_a_wrong_call(call: Any, arguments: list[str], complaint: str) -> None:
    code, out, err = call("enqueue", "x", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {complaint}")
    assert TaskQueueService.list_queues() == []


def test_a_mistyped_name_is_told_the_one_that_workers_do(queue: Queue, call: Any) -> None:
    queue.register_handler("send_email", lambda payload: None)
    queue.enqueue_task("send_email")
    WorkerService.run_until_empty(1)
    code, out, err = call("enqueue", "send_emial")
    assert (code, out) == (4, "")
    assert err.startswith("Error: no worker has done a task 'send_emial' lately: did you mean 'send_email'?\n")
    assert call("enqueue", "another")[0] == 0


def test_a_module_says_what_its_tasks_take(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "cli_tasks.py").write_text(
        "from services.task_queue import task\n@task(queue='low')\ndef send_typed(to: str, size: int): ...\n"
    )
    module = ("--module", "cli_tasks")
    code, _, err = call("enqueue", "send_tyepd", *module)
    assert code == 4
    assert err == (
        "Error: there is no task 'send_tyepd': did you mean 'send_typed'?\n  why: the modules define send_typed\n"
    )
    code, _, err = call("enqueue", "send_typed", "to=ada", "size=big", *module)
    assert code == 2
    assert "size: Input should be a valid integer" in err
    code, out, _ = call("enqueue", "send_typed", "to=ada", "size=3", *module)
    assert code == 0
    task = TaskQueueService.get_task_status(out.strip())
    assert task is not None
    assert (task.queue, task.payload) == ("low", {"to": "ada", "size": 3})


def test_tasks_are_listed_by_what_they_are(queue: Queue, ask: Any, call: Any) -> None:
    failed = fail(queue, "c")
    first = queue.enqueue_task("a", {"n": 1}, tags=["x"])
    second = queue.enqueue_task("b", queue="low")
    again = queue.enqueue_task("a", delay_seconds=60)

    def listed(*arguments: str) -> list[str]:
        return [task["id"] for task in ask("tasks", "list", *arguments)["tasks"]]

    assert set(listed()) == {first, second, *failed, again}
    assert listed("--status", "failed") == failed
    assert listed("--queue", "low") == [second]
    assert listed("--tag", "x") == [first]
    assert listed("--name", "b") == [second]
    code, out, _ = call("tasks", "list", "--name", "a")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "NAME", "AGE", "NOTE"]
    assert any(again in line and "due in 1m" in line for line in lines)
    assert call("tasks", "list", "--queue", "lo")[0] == 4


def test_a_long_list_goes_on_where_it_ended(queue: Queue, ask: Any, call: Any) -> None:
    ids = set(queue.enqueue_many([TaskRequest("x") for _ in range(30)]))
    found: set[str] = set()
    page = ask("tasks", "list", "--limit", "12")
    while page["cursor"] is not None:
        found |= {task["id"] for task in page["tasks"]}
        page = ask("tasks", "list", "--limit", "12", "--cursor", page["cursor"])
    assert found | {task["id"] for task in page["tasks"]} == ids
    assert "there may be more: --limit 120, or --cursor '" in call("tasks", "list", "--limit", "12")[2]
    assert call("tasks", "list", "--cursor", "nonsense")[0] == 2


def test_all_there_is_to_know_of_a_task_is_shown(queue: Queue, ask: Any, call: Any) -> None:
    (task_id,) = fail(queue, "mail")
    whole = ask("tasks", "show", task_id)
    task = queue.get_task_status(task_id)
    assert task is not None
    assert whole["id"] == task_id
    assert (whole["status"], whole["priority"], whole["payload"]) == ("failed", "normal", {"to": "mail"})
    assert whole["created_at"] == task.created_at.isoformat()
    assert [error["message"] for error in whole["errors"]] == ["no such address"]
    assert set(whole) == {name for name in type(task).__slots__ if not name.startswith("_")}
    out = call("tasks", "show", task_id)[1]
    assert f"id       {task_id}\nstatus   failed, TaskError: no such address\nname     mail\n" in out
    assert 'payload  {"to": "mail"}' in out


@pytest.mark.parametrize("verb", ["show", "watch", "retry", "cancel", "delete"])
def test_a_task_that_nobody_knows_is_not_found(queue: Queue, call: Any, verb: str) -> None:
    yes = ["-y"] if verb in {"cancel", "delete"} else []
    for task_id in ("default.0000000000abcdefghij", "nonsense"):
        code, out, err = call("tasks", verb, task_id, *yes)
        assert (code, out) == (4, "")
        assert task_id in err


def test_failed_tasks_are_listed_the_latest_first(queue: Queue, ask: Any, call: Any) -> None:
    assert call("failed", "list")[2] == "no failed tasks\n"
    fail(queue, "a", "b")
    last = fail(queue, "a")
    listed = ask("failed", "list")["tasks"]
    assert listed[0]["id"] == last[0] or listed[0]["completed_at"] == listed[1]["completed_at"]
    assert len(listed) == 3
    assert [task["name"] for task in ask("failed", "list", "--name", "b")["tasks"]] == ["b"]
    assert len(ask("failed", "list", "--limit", "2")["tasks"]) == 2
    header, *rows = call("failed", "list")[1].splitlines()
    assert header.split() == ["ID", "NAME", "FAILED", "ERROR"]
    assert all("TaskError: no such address" in row for row in rows)


def test_failed_tasks_are_retried_by_id_and_by_kind(queue: Queue, ask: Any, call: Any) -> None:
    one, two, other = fail(queue, "a", "a", "b")
    assert ask("failed", "retry", one) == {"retried": [one], "refused": []}
    code, out, err = call("tasks", "retry", one, two)
    assert (code, out, err) == (1, f"retried {two}\n", f"not retried: {one}: it is pending, not failed\n")
    assert ask("failed", "retry", "--name", "a", "-y") == {"retried": 0}
    assert ask("failed", "retry", "--all", "-y") == {"retried": 1}
    assert status(queue, other) is TaskStatus.PENDING


def test_a_retry_that_its_unique_key_forbids_says_so(queue: Queue, call: Any) -> None:
    task_id = queue.enqueue_task("x", unique_key="k", max_retries=0)
    fail_all(queue)
    queue.enqueue_task("x", unique_key="k")
    code, _, err = call("tasks", "retry", task_id)
    assert code == 1
    assert f"not retried: {task_id}: another task has its unique key by now\n" in err


def test_failed_tasks_are_deleted_by_id_and_by_kind(queue: Queue, ask: Any) -> None:
    one, two, other = fail(queue, "a", "a", "b")
    assert ask("failed", "delete", one, "-y") == {"deleted": [one], "refused": []}
    assert ask("failed", "delete", "--name", "a", "-y") == {"deleted": 1}
    assert [status(queue, each) for each in (one, two, other)] == [None, None, TaskStatus.FAILED]
    assert ask("failed", "delete", "--all", "-y") == {"deleted": 1}


def test_tasks_are_cancelled_by_id_and_by_kind(queue: Queue, ask: Any, call: Any) -> None:
    one = queue.enqueue_task("a")
    queue.enqueue_many([TaskRequest("a", delay_seconds=60), TaskRequest("b"), TaskRequest("b", queue="low")])
    assert ask("tasks", "cancel", one, "-y") == {"cancelled": [one], "refused": []}
    assert call("tasks", "cancel", one, "-y")[2] == f"not cancelled: {one}: it is cancelled already\n"
    assert ask("tasks", "cancel", "--name", "a", "-y") == {"cancelled": 1}
    assert ask("tasks", "cancel", "--queue", "low", "-y") == {"cancelled": 1}
    assert call("tasks", "cancel", "--all", "-y")[1] == "cancelled 1 task\n"


def test_only_what_has_ended_is_deleted(queue: Queue, call: Any) -> None:
    task_id = queue.enqueue_task("x")
    code, _, err = call("tasks", "delete", task_id, "-y")
    assert (code, err) == (1, f"not deleted: {task_id}: it is pending, and has not ended: cancel it first\n")
    queue.cancel_task(task_id)
    assert call("tasks", "delete", task_id, "-y")[:2] == (0, f"deleted {task_id}\n")


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["tasks", "cancel", "--all"], "Cancel 2 tasks that have not started?"),
        (["tasks", "cancel", "a.b", "a.c"], "Cancel 2 tasks?"),
        (["tasks", "delete", "a.b"], "Delete 1 task for good?"),
        (["failed", "retry", "--all"], "Retry 1 failed task?"),
        (["failed", "retry", "--name", "f"], "Retry 1 failed task?"),
        (["failed", "delete", "--queue", "default"], "Delete 1 failed task for good?"),
        (["queues", "purge", "default"], "Cancel 2 tasks of queue 'default'?"),
    ],
)
def test_what_cant_be_undone_is_refused_where_nobody_can_be_asked(
    queue: Queue, call: Any, arguments: list[str], question: str
) -> None:
    fail(queue, "f")
    queue.enqueue_many([TaskRequest("x"), TaskRequest("x", delay_seconds=60)])
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err == f"Error: {question} There is nobody to ask\n  try: say --yes (-y)\n"
    stats = queue.get_queue_stats()
    assert (stats["pending_tasks"], stats["delayed_tasks"], stats["failed_tasks"]) == (1, 1, 1)


@pytest.mark.parametrize("verb", [["tasks", "cancel"], ["failed", "retry"], ["failed", "delete"]])
def test_it_must_be_said_which_tasks(call: Any, verb: list[str]) -> None:
    assert call(*verb, "-y")[::2] == (2, "Error: which tasks?\n  try: name their ids, or --queue, --name or --all\n")
    code, _, err = call(*verb, "default.x", "--all", "-y")
    assert (code, err) == (2, "Error: name tasks by their ids, or all by --queue, --name or --all: not both\n")


def test_queues_are_counted_as_they_are(queue: Queue, ask: Any, call: Any) -> None:
    assert ask("queues", "list") == {"queues": []}
    assert call("queues", "list") == (0, "", "no queues yet: they come with their first task\n")
    queue.enqueue_many([TaskRequest("x"), TaskRequest("x", delay_seconds=60), TaskRequest("x", queue="low")])
    nothing = dict.fromkeys(["pending", "delayed", "running", "held", "failed", "completed", "workers"], 0)
    assert ask("queues", "list") == {
        "queues": [
            {"name": "default", **nothing, "pending": 1, "delayed": 1, "paused": False},
            {"name": "low", **nothing, "pending": 1, "paused": False},
        ]
    }
    assert ask("queues", "pause", "low") == {"queue": "low", "changed": True}
    assert ask("queues", "pause", "low") == {"queue": "low", "changed": False}
    lines = call("queues", "list")[1].splitlines()
    assert lines[2].split() == ["low", "1", *["0"] * 6, "paused"]
    assert ask("queues", "resume", "low") == {"queue": "low", "changed": True}
    assert ask("queues", "purge", "default", "-y") == {"queue": "default", "cancelled": 2}


@pytest.mark.parametrize("verb", ["pause", "resume", "purge"])
def test_a_mistyped_queue_is_none_and_stays_none(queue: Queue, call: Any, verb: str) -> None:
    queue.enqueue_task("x", queue="emails")
    code, _, err = call("queues", verb, "emials")
    assert code == 4
    assert err == (
        "Error: there is no queue 'emials': did you mean 'emails'?\n"
        "  why: queues come with their first task; there are: emails\n"
    )
    assert queue.list_queues() == ["emails"]


def test_settings_are_shown_with_where_they_come_from_and_no_password(
    ask: Any, call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://ada:secret@db.example:6379/0")
    (tmp_path / ".env").write_text("TASKS_PROCESSES=3\n")
    shown = {each["variable"]: each for each in ask("config", "show")["settings"]}
    assert shown["REDIS_URL"]["value"] == "redis://ada:***@db.example:6379/0"
    assert shown["TASKS_PROCESSES"] == {"variable": "TASKS_PROCESSES", "value": 3, "from": str(tmp_path / ".env")}
    assert shown["TASKS_LEASE_SECONDS"]["from"] == "the environment"
    assert shown["TASKS_MAX_BACKLOG"] == {"variable": "TASKS_MAX_BACKLOG", "value": 0, "from": "default"}
    code, out, err = call("config", "show", "--changed")
    assert code == 0
    assert "secret" not in out + err
    assert "TASKS_MAX_BACKLOG" not in out


def test_a_setting_that_breaks_its_rule_is_told_with_the_rule(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "soon")
    code, out, err = call("queues", "list")
    assert (code, out) == (2, "")
    assert err == (
        "Error: the setting TASKS_LEASE_SECONDS='soon' can't be used\n"
        "  why: must be a number from 2 to 300 (it is from the environment)\n"
        "  try: Change it, or remove it to use the default, 5.\n"
    )


def test_who_waits_gets_the_result_and_the_exit_code(queue: Queue, call: Any, ask: Any) -> None:
    ids = queue.enqueue_many([TaskRequest("good"), TaskRequest("bad", max_retries=0)])
    for name, answer in (("good", {"pages": 5}), ("bad", None)):
        task = queue.get_next_task(timeout=5)
        assert task is not None
        assert task.name == name
        if answer is None:
            queue.fail_task(task, "no such address")
        else:
            queue.complete_task(task, answer)
    code, out, _ = call("tasks", "watch", ids[0])
    assert (code, json.loads(out)) == (0, {"pages": 5})
    assert call("tasks", "watch", ids[1]) == (1, "", "failed: TaskError: no such address\n")
    assert ask("tasks", "watch", ids[0])["result"] == {"pages": 5}
    code, out, err = call("enqueue", "nobody_does_it", "--wait", "--timeout", "200ms")
    assert (code, out) == (1, "")
    assert err.startswith("pending\nError: task '")
    assert "has not ended within 0.2 s\n  why: it is pending" in err


def test_status_is_all_at_a_glance(queue: Queue, ask: Any, call: Any) -> None:
    code, out, _ = call("status")
    assert code == 0
    assert "Queues\nnone yet: they come with their first task\n" in out
    assert "Workers\nnone: tasks wait for one, as singleton-service worker MODULE starts it\n" in out
    assert out.endswith("Failed lately\nnone\n")
    (failed,) = fail(queue, "mail")
    queue.enqueue_task("mail", queue="low")
    told = ask("status")
    assert (told["namespace"], [each["name"] for each in told["queues"]]) == (
        os.environ["TASKS_NAMESPACE"],
        ["critical", "default", "low"],
    )
    assert [(each["id"], each["errors"][0]["message"]) for each in told["failures"]] == [(failed, "no such address")]
    assert set(told["last_minute"]) >= {"enqueued", "completed", "failed", "retried", "per_second"}
    assert [worker["pid"] for worker in told["workers"]] == [os.getpid()]  # it fetched, and its lease has not ended
    lines = call("status")[1].splitlines()
    assert any(line.split()[:2] == ["low", "1"] for line in lines)
    assert any(line.startswith(f"{failed}  mail  ") for line in lines)


def test_nobody_looks_all_the_time(call: Any) -> None:
    assert call("status", "--watch", "--interval", "0")[::2] == (2, "Error: --interval is at least 50ms\n")


@pytest.mark.usefixtures("queue")
def test_status_names_who_works(surroundings: Surroundings) -> None:
    environment = {**surroundings.environment, "PYTHONPATH": str(ROOT)}
    WorkerService.start_workers(2, queues=["low"])
    done = subprocess.run(
        [sys.executable, "-m", "singleton_service", "status", "--json"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=30,
        check=True,
    )
    (worker,) = json.loads(done.stdout)["workers"]
    assert (worker["pid"], worker["queues"], worker["running"]) == (os.getpid(), ["low"], 0)
