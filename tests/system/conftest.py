from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.clockwork import Moved
from tests.system.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singleton_service.background.task_queue import TaskQueueService
    from tests.conftest import Surroundings

PROGRAMS = Path(__file__).with_name("programs")


class Workers:
    """Worker processes on the queue of this test, and the log that their handlers write."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.log = directory / "handlers.log"
        self.output = directory / "workers.out"
        self._environment = {**environment, "TEST_LOG": str(self.log)}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, threads: int = 4, timeout: float = 30) -> subprocess.Popen[bytes]:
        return self.run("worker.py", threads, timeout)

    def run(self, program: str, *arguments: float) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", PROGRAMS / program, *map(str, arguments)],
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def count(self, word: str) -> Counter[str]:
        """How often each task left a line with this word."""
        return Counter(n for found, n, _ in map(str.split, self.lines()) if found == word)

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def end(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def workers(surroundings: Surroundings, tmp_path: Path) -> Iterator[Workers]:
    started = Workers(surroundings.environment, tmp_path)
    yield started
    started.end()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder with a queue of its own, for examples to run in."""
    place = Place(tmp_path)
    yield place
    place.leave()


@pytest.fixture
def at_end(until: Callable[..., object]) -> Callable[..., int]:
    """Wait for a process to end by itself and return its exit status."""

    def wait(process: subprocess.Popen[bytes], within_s: float = 20) -> int:
        until(lambda: process.poll() is not None, within_s)
        return process.returncode

    return wait


@pytest.fixture
def moved(queue: type[TaskQueueService]) -> Moved:
    """The server's clock, to be moved."""
    return Moved()


@pytest.fixture
def bare(queue: type[TaskQueueService], monkeypatch: pytest.MonkeyPatch) -> type[TaskQueueService]:
    """A queue, and no schedules but those of the test."""
    monkeypatch.setenv("TASKS_SCHEDULER_CLEANUP", "false")
    monkeypatch.setenv("TASKS_SCHEDULER_HEALTH_CHECK", "false")
    return queue
