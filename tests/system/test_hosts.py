"""Workers as guests: the host's signals stay the host's, and its end hands back what runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Surroundings

ROOT = Path(__file__).parents[2]
HOSTS = Path(__file__).with_name("programs") / "hosts"
MODULES = "tests.system.programs.hosts"
UVICORN = ["-m", "uvicorn", f"{MODULES}.under_uvicorn:app", "--port", "0"]
GUNICORN = ["-m", "gunicorn", "--config", f"python:{MODULES}.under_gunicorn", "--bind", "127.0.0.1:0"]
GUNICORN += [f"{MODULES}.under_gunicorn:app"]
PYTEST = ["-m", "pytest", "-q", "-c", os.devnull, "--noconftest", "-p", "no:cacheprovider", HOSTS / "under_pytest.py"]
THREAD = [HOSTS / "in_a_thread.py"]


class Host:
    """A process that has workers and is something else."""

    def __init__(self, command: list[str | Path], environment: dict[str, str], folder: Path) -> None:
        self.log, self.output = folder / "handlers.log", folder / "host.out"
        more = {"TEST_LOG": str(self.log), "TASKS_SHUTDOWN_SECONDS": "0.2"}
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                env={**environment, **more, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def noted(self, word: str) -> list[str]:
        """Return what was said by that word."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [value for found, value, _ in map(str.split, lines) if found == word]

    def end(self) -> None:
        """Leave nothing of it behind."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    started: list[Host] = []
    yield started
    for host in started:
        host.end()


@pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("command", "handlers", "sent", "status"),
    [
        # As it does without workers: it ends by the signal that it got.
        pytest.param(UVICORN, ["Server.handle_exit"] * 2, signal.SIGTERM, -signal.SIGTERM, id="uvicorn"),
        pytest.param(GUNICORN, ["Worker.handle_exit", "Worker.handle_quit"], signal.SIGTERM, 0, id="gunicorn"),
        pytest.param(PYTEST, ["SIG_DFL", "default_int_handler"], signal.SIGINT, 2, id="pytest"),
        # Its own status, and that one task was cut off.
        pytest.param(THREAD, ["on_signal", "default_int_handler"], signal.SIGTERM, 41, id="thread"),
    ],
)
def test_a_host_keeps_its_signals_and_its_end_hands_back_what_runs(
    surroundings: Surroundings,
    queue: type[TaskQueueService],
    hosts: list[Host],
    tmp_path: Path,
    until: Any,
    command: list[str | Path],
    handlers: list[str],
    sent: signal.Signals,
    status: int,
) -> None:
    task_id = queue.enqueue_task("hosted", {"n": 1})
    host = Host(command, surroundings.environment, tmp_path)
    hosts.append(host)
    until(lambda: host.noted("begin"), 30)
    assert [*host.noted("SIGTERM"), *host.noted("SIGINT")] == handlers

    host.process.send_signal(sent)

    assert until(lambda: host.process.poll() is not None, 20)
    assert host.process.returncode == status, host.output.read_text()
    assert host.noted("tidied") == ["1"]
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.status, task.retry_count, task.errors) == (TaskStatus.PENDING, 0, ())
    stats = queue.get_queue_stats()
    assert (stats["workers"], stats["tasks_recovered"]) == (0, 0)
