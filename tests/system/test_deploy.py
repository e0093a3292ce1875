"""The unit in deploy/, as far as it goes without systemd: its command, environment, signals and exit statuses."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.task_queue import TaskQueueService, TaskRequest
from singleton_service.background.worker.health_watch import STALLED_EXIT_STATUS
from tests.conftest import clean_process, wait_until
from tests.system.place import processes_about

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/howto/deploy-one-machine.md"
TASKS = """
import time
from pathlib import Path
from services.task_queue import task
from singleton_service.background.worker.dispatcher import Dispatcher

def note(word, n):
    with open("ran.log", "a") as log:
        log.write(f"{word} {n}\\n")

@task(max_retries=0)
def hang() -> None:
    Dispatcher._turn = lambda dispatcher: time.sleep(3600)

@task
def pack(n: int, seconds: float) -> int:
    note("begin", n)
    time.sleep(seconds)
    note("end", n)
    return n
"""
# What systemd takes for a clean end, whatever the status: systemd.service(5), SuccessExitStatus=.
CLEAN_SIGNALS = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE}


class Unit:
    """A unit file: each directive with all its values, in their order."""

    def __init__(self, text: str) -> None:
        self.directives: dict[str, list[str]] = {}
        for line in text.splitlines():
            if line and not line.startswith(("#", "[")):
                name, _, value = line.partition("=")
                self.directives.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        (value,) = self.directives[name]
        return value

    @property
    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for value in self.directives["Environment"] for pair in shlex.split(value))

    def starts_again(self, returncode: int) -> bool:
        """Whether systemd starts a process again that ended so; negative: by that signal."""
        assert self["Restart"] == "on-failure"
        if returncode < 0:
            return signal.Signals(-returncode) not in CLEAN_SIGNALS
        return returncode != 0 and str(returncode) not in self["RestartPreventExitStatus"].split()


UNIT = Unit((ROOT / "deploy/singleton-service.service").read_text(encoding="utf-8"))


class Machine:
    """A folder in the place of /srv/shop and /var/lib, and systemd's part played by the test."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.listener = listener
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "shop").mkdir()
        (folder / "shop/tasks.py").write_text(TASKS)

    def start(self, module: str = "shop.tasks", **more: str) -> subprocess.Popen[bytes]:
        program, *arguments = shlex.split(UNIT["ExecStart"].replace("shop.tasks", module))
        assert Path(program).name == "singleton-service"
        ours = UNIT.environment | {"NOTIFY_SOCKET": str(self.folder / "notify"), "PYTHONPATH": str(ROOT)} | more
        assert ours["TASKS_DATA_DIR"] == f"/var/lib/{UNIT['StateDirectory']}"
        with (self.folder / "journal").open("ab") as journal:
            process = subprocess.Popen(
                [sys.executable, "-m", "singleton_service", *arguments],
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], **ours, "TASKS_DATA_DIR": str(self.data_dir)},
                stdout=journal,
                stderr=journal,
            )
        self.processes.append(process)
        return process

    def hear(self, word: bytes) -> None:
        """Wait until the unit says so to systemd."""
        while word not in self.listener.recv(1000).split(b"\n"):
            pass

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """Do as `systemctl stop` does, and return how it ended: all processes of the unit get the signal."""
        assert UNIT["KillMode"] == "control-group"
        for pid in processes_about(self.data_dir):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.Signals[UNIT["KillSignal"]])
        return process.wait(float(UNIT["TimeoutStopSec"]))

    def ran(self, word: str) -> Counter[str]:
        log = self.folder / "ran.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(word))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Such a machine; this process is the web application beside it."""
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    # A short path: sockets take 100 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="sd-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        machine = Machine(Path(directory), listener)
        listener.bind(str(machine.folder / "notify"))
        listener.settimeout(30)
        monkeypatch.setenv("TASKS_DATA_DIR", str(machine.data_dir))
        with clean_process():
            yield machine
        for process in machine.processes:
            process.kill()
            process.wait()
        wait_until(lambda: not processes_about(machine.data_dir))


def test_a_stop_lets_running_tasks_end_and_what_is_left_is_done_after_the_next_start(machine: Machine) -> None:
    TaskQueueService.enqueue_many(TaskRequest("pack", {"n": n, "seconds": 0.5}) for n in range(40))
    process = machine.start()
    machine.hear(b"READY=1")
    machine.hear(b"WATCHDOG=1")
    wait_until(lambda: machine.ran("begin"))
    code = machine.stop(process)
    machine.hear(b"STOPPING=1")
    assert (code, UNIT.starts_again(code)) == (0, False)
    assert machine.ran("begin") == machine.ran("end"), "none was cut off"
    stats = TaskQueueService.get_queue_stats()
    assert stats["tasks_processed"] + stats["pending_tasks"] == 40
    assert stats["pending_tasks"] > 0, "it was stopped amid the work"

    process = machine.start()
    wait_until(lambda: TaskQueueService.get_queue_stats()["tasks_processed"] == 40, 30)
    assert machine.ran("end") == Counter({str(n): 1 for n in range(40)}), "none was lost, none ran twice"
    assert machine.stop(process) == 0


def test_after_a_kill_it_is_started_again_and_does_what_it_was_at(machine: Machine) -> None:
    process = machine.start()
    machine.hear(b"READY=1")
    task_id = TaskQueueService.enqueue_task("pack", {"n": 1, "seconds": 1})
    wait_until(lambda: machine.ran("begin"))
    process.kill()
    assert UNIT.starts_again(process.wait())
    machine.start()
    assert TaskQueueService.get_result(task_id, timeout=30) == 1


def test_a_worker_whose_loop_stands_still_ends_itself_and_is_started_again(machine: Machine) -> None:
    process = machine.start(TASKS_STALL_SECONDS="0.5")
    machine.hear(b"READY=1")
    TaskQueueService.enqueue_task("hang")
    code = process.wait(30)
    assert (code, UNIT.starts_again(code)) == (STALLED_EXIT_STATUS, True)
    assert "the fetch loop has stood still" in (machine.folder / "journal").read_text()


def test_what_a_restart_does_not_change_is_not_started_again(machine: Machine) -> None:
    process = machine.start("shop.taks")
    code = process.wait(30)
    assert (code, UNIT.starts_again(code)) == (2, False)
    words = (machine.folder / "journal").read_text()
    assert "did you mean 'shop.tasks'?" in words
    assert "Traceback" not in words


def test_a_port_that_is_taken_is_told_in_three_lines(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert machine.start(TASKS_HEALTH_PORT=str(port)).wait(30) == 1
    *_, what, why, fix = (machine.folder / "journal").read_text().splitlines()
    assert what == f"Error: health can't be told at 127.0.0.1:{port} (TASKS_HEALTH_PORT)"
    assert why == "  why: Address already in use"
    assert fix.startswith("  try: Choose another port or end who has it")


def test_every_other_end_is_followed_by_a_start() -> None:
    assert UNIT.starts_again(1)
    assert UNIT.starts_again(-signal.SIGKILL)
    assert not UNIT.starts_again(-signal.SIGTERM)


def test_its_times_fit() -> None:
    patience_s = float(UNIT.environment["TASKS_SHUTDOWN_SECONDS"])
    assert float(UNIT["TimeoutStopSec"]) >= patience_s + 10, (
        "two seconds for what can't be interrupted, the rest to close"
    )
    # It ends itself, and says why, before systemd does so without a word.
    assert float(UNIT["WatchdogSec"]) > 2 * Settings().stall_seconds
    assert (UNIT["Type"], UNIT["TimeoutStartSec"]) == ("notify", "infinity")


def test_its_page_names_lines_as_they_are() -> None:
    lines = [f"{name}={value}" for name, values in UNIT.directives.items() for value in values]
    rows = re.findall(r"^\| (`[^|]+`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"`([^`]+)`", "".join(rows))
    assert len(named) > 8
    for said in named:
        begins, _, ends = said.partition("…")
        assert any(begins in line and line.endswith(ends) for line in lines), said
