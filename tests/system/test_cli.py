"""The command line as it is used: real processes, terminals of a width, pipes, servers that are away."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "singleton_service"]
PATIENCE_S = 30.0
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

Queue = type[TaskQueueService]

TASKS = """
from services.task_queue import current_task, task

@task(max_retries=0)
def ship(to: str, boxes: int = 1):
    share = 12 / boxes
    return {"to": to, "share": share, "attempt": current_task().attempt, "told": current_task().progress(50)}

@task(max_retries=0)
async def post(payload):
    raise LookupError(payload["to"])
"""


@pytest.fixture
def surroundings_of_one(queue: Queue, tmp_path: Path) -> dict[str, str]:
    """The environment for commands that share the queue of this test."""
    (tmp_path / "shop.py").write_text(TASKS)
    left_out = ("PYTHONUNBUFFERED", "NO_COLOR", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "PYTHONPATH": f"{tmp_path}:{ROOT}", "TERM": "xterm-256color"}


def run(environment: dict[str, str], *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        timeout=PATIENCE_S,
        check=False,
    )


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, environment: dict[str, str], columns: int, arguments: tuple[str, ...]) -> None:
        self.said = ""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
        os.close(theirs)
        self._ours = ours
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                read = os.read(self._ours, 65536)
            except OSError:  # what a terminal says when nobody writes any more
                return
            if not read:
                return
            self.said += read.decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._ours)

    @property
    def lines(self) -> list[str]:
        return CONTROL.sub("", self.said).replace("\r", "").splitlines()


@contextmanager
def terminal(environment: dict[str, str], *arguments: str, columns: int = 100) -> Iterator[Terminal]:
    made = Terminal(environment, columns, arguments)
    try:
        yield made
    finally:
        made.close()


def fail(queue: Queue, *payloads: dict[str, Any], name: str = "ship") -> list[str]:
    ids = queue.enqueue_many([TaskRequest(name, payload, max_retries=0) for payload in payloads])
    for _ in payloads:
        task = queue.get_next_task(timeout=5)
        assert task is not None
        queue.fail_task(task, "the ship was full, and nobody knew when the next one would come", retry=False)
    return ids


VERBS = (["status"], ["tasks", "list"], ["enqueue", "x"], ["queues", "list"], ["failed", "retry", "--all", "-y"])


@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_is_away_is_told_in_three_lines(verb: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": "redis://ada:secret@127.0.0.1:1/0"}
    done = subprocess.run(
        [*COMMAND, *verb],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    what, why, fix = done.stderr.splitlines()
    assert what == "Error: the task queue's server redis://ada:***@127.0.0.1:1/0 is not available"
    assert why.startswith("  why: ")
    assert "refused" in why
    assert fix == "  try: Check that it runs and that REDIS_URL names it."


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_data_directory_of_somebody_else_is_told_in_three_lines(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 12345, 12345)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "TASKS_"))}
    done = subprocess.run(
        [*COMMAND, "status"],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(ROOT), "TASKS_DATA_DIR": str(data)},
        cwd=tmp_path,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert [line[:7] for line in done.stderr.splitlines()] == ["Error: ", "  why: ", "  try: "]
    assert str(data) in done.stderr


@pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
class TestInATerminal:
    """On one engine: it is the screen that is looked at."""

    def test_a_narrow_one_shows_whole_ids_and_breaks_no_row(
        self, queue: Queue, surroundings_of_one: dict[str, str]
    ) -> None:
        (task_id,) = fail(queue, {"to": "ada"})
        for verb in (["tasks", "list"], ["failed", "list"], ["status"]):
            with terminal(surroundings_of_one, *verb, columns=60) as screen:
                assert screen.wait() == 0
                assert "\x1b[" in screen.said
            rows = screen.lines
            assert max(map(len, rows)) <= 60, rows
            assert any(line.startswith(f"{task_id}  ") for line in rows), rows
            assert any(line.startswith("  TaskError: the ship was full") for line in rows), rows

    @pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_one_that_wants_no_colours_gets_none(
        self, queue: Queue, surroundings_of_one: dict[str, str], variables: dict[str, str]
    ) -> None:
        fail(queue, {"to": "ada"})
        environment = surroundings_of_one | variables
        for arguments in (["failed", "list"], ["tasks", "show", "nonsense"]):
            with terminal(environment, *arguments) as screen:
                screen.wait()
            assert not re.search(r"\x1b\[[0-9;]*3[0-9]", screen.said)
            assert "TERM" not in variables or "\x1b" not in screen.said

    @pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 2), ("\x03", 130, 2)])
    def test_it_asks_before_it_does_what_cant_be_undone(
        self,
        queue: Queue,
        surroundings_of_one: dict[str, str],
        until: Callable[..., object],
        answer: str,
        code: int,
        left: int,
    ) -> None:
        fail(queue, {"to": "ada"}, {"to": "bob"})
        with terminal(surroundings_of_one, "failed", "delete", "--all") as screen:
            until(lambda: "Delete 2 failed tasks for good? [y/N]: " in screen.said)
            if answer == "\x03":
                screen.process.send_signal(signal.SIGINT)
            else:
                screen.type(answer)
            assert screen.wait() == code
        assert "Traceback" not in screen.said
        assert queue.get_queue_stats()["failed_tasks"] == left

    def test_a_task_is_followed_live(
        self, queue: Queue, surroundings_of_one: dict[str, str], until: Callable[..., object]
    ) -> None:
        task_id = queue.enqueue_task("ship")
        task = queue.get_next_task(timeout=5)
        assert task is not None
        with terminal(surroundings_of_one, "tasks", "watch", task_id) as screen:
            until(lambda: "running" in screen.said)
            queue.update_progress(40, "loading boxes", task)
            until(lambda: "loading boxes" in screen.said)
            queue.complete_task(task, {"shipped": 3})
            assert screen.wait() == 0
        assert screen.lines[-3:] == ["{", '  "shipped": 3', "}"]

    def test_the_screen_of_status_is_kept_up_to_date(
        self, queue: Queue, surroundings_of_one: dict[str, str], until: Callable[..., object]
    ) -> None:
        with terminal(surroundings_of_one, "status", "--watch", "--interval", "50ms") as screen:
            until(lambda: "none yet: they come with their first task" in screen.said)
            WorkerService.start_workers(1, queues="default")
            (task_id,) = queue.enqueue_many([TaskRequest("ship", {"to": "ada"}, max_retries=0, queue="low")])
            until(lambda: f":{os.getpid()} " in screen.said)
            WorkerService.stop_workers()
            task = queue.get_next_task(timeout=5, queues=["low"])
            assert task is not None
            queue.fail_task(task, "no", retry=False)
            until(lambda: task_id in screen.said)
            screen.process.send_signal(signal.SIGINT)
            assert screen.wait() == 130
        assert "Traceback" not in screen.said


@pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
def test_what_changes_is_a_line_each_for_a_pipe(
    queue: Queue, surroundings_of_one: dict[str, str], until: Callable[..., object], tmp_path: Path
) -> None:
    said = tmp_path / "said"
    with said.open("w") as file:
        process = subprocess.Popen(
            [*COMMAND, "status", "--watch", "--interval", "50ms"],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            env=surroundings_of_one,
        )
    try:
        queue.enqueue_task("ship")
        until(lambda: re.search(r"^\d\d:\d\d:\d\d queue default: pending=1 .*\n", said.read_text(), re.MULTILINE))
        queue.pause_queue("default")
        until(lambda: " paused\n" in said.read_text())
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, complaint) == (130, "\n")


def test_a_watch_outlives_the_server(server: Any, until: Callable[..., object], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": server.url}
    said, complaints = tmp_path / "said", tmp_path / "complaints"
    with said.open("w") as out, complaints.open("w") as err:
        process = subprocess.Popen(
            [*COMMAND, "status", "--watch", "--json", "--interval", "50ms"],
            stdout=out,
            stderr=err,
            env=environment,
            cwd=tmp_path,
        )
    try:
        until(said.read_text)
        server.kill()
        until(complaints.read_text)
        server.start()
        until(lambda: run({**environment}, "enqueue", "ship").returncode == 0)
        until(lambda: '"default"' in said.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
    assert complaints.read_text() == "The server does not answer; looking again until it does.\n\n"
    assert all(json.loads(line)["namespace"] == "tasks" for line in said.read_text().splitlines())


@pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
def test_a_task_that_failed_is_run_again_under_a_debugger(queue: Queue, surroundings_of_one: dict[str, str]) -> None:
    (task_id,) = fail(queue, {"to": "ada", "boxes": 0})
    before = queue.get_task_status(task_id)
    done = run(surroundings_of_one, "tasks", "debug", task_id, "shop", given="p to, boxes\nq\n")
    assert done.returncode == 1, done.stderr
    assert "-> share = 12 / boxes\n(Pdb) ('ada', 0)\n" in done.stdout
    assert done.stderr.startswith(f"running ship of task {task_id} here; it is failed: TaskError: the ship was full")
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "singleton_service" not in done.stderr
    assert queue.get_task_status(task_id) == before
    assert queue.get_queue_stats()["running_tasks"] == 0


@pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
def test_one_that_does_not_fail_here_shows_its_result(queue: Queue, surroundings_of_one: dict[str, str]) -> None:
    good, coroutine = fail(queue, {"to": "ada", "boxes": 4})[0], fail(queue, {"to": "bob"}, name="post")[0]
    done = run(surroundings_of_one, "tasks", "debug", good, "shop.py")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"to": "ada", "share": 3.0, "attempt": 1, "told": True})
    assert queue.get_progress(good) is None
    told = json.loads(run(surroundings_of_one, "tasks", "debug", coroutine, "shop", "--json").stdout)
    assert (told["completed"], told["error"]["type"], told["error"]["message"]) == (False, "LookupError", "bob")


@pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
def test_only_what_has_ended_is_debugged_and_only_where_its_handler_is(
    queue: Queue, surroundings_of_one: dict[str, str]
) -> None:
    pending, (other,) = queue.enqueue_task("ship", queue="low"), fail(queue, {}, name="shipp")
    done = run(surroundings_of_one, "tasks", "debug", pending, "shop")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: task '{pending}' is pending, and would run twice\n")
    done = run(surroundings_of_one, "tasks", "debug", other, "shop")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("Error: these modules define no task 'shipp', but 'ship'\n")


@pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
def test_a_long_list_can_be_cut_by_its_reader(queue: Queue, surroundings_of_one: dict[str, str]) -> None:
    queue.enqueue_many([TaskRequest("ship", {"to": "x" * 100}) for _ in range(2000)])
    for verb, code in (("tasks list --limit 2000 --json", 141), ("tasks list", 0)):
        line = f"{sys.executable} -m singleton_service {verb} | head -n 1; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            env=surroundings_of_one,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (done.returncode, len(done.stdout.splitlines())) == (code, 1)
        assert "Traceback" not in done.stderr
        assert "Error" not in done.stderr


def test_a_task_goes_all_the_way_from_a_shell(queue: Queue, surroundings_of_one: dict[str, str]) -> None:
    queue.register_handler("ship", lambda payload: {"boxes": payload["boxes"]})
    WorkerService.start_workers(1)
    done = run(surroundings_of_one, "enqueue", "ship", "to=ada", "boxes:=2", "--wait", "--timeout", "30s", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == {"boxes": 2}
    task = queue.get_task_status(json.loads(done.stdout)["id"])
    assert task is not None
    assert task.status is TaskStatus.COMPLETED
