"""Several schedulers with the same schedules: each instant one task, whoever lives or dies."""

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

from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import TaskQueueService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Surroundings

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("programs") / "scheduler.py"
SCHEDULES = 5


class Schedulers:
    """Scheduler processes on the queue of this test."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        # Whether a health check is due in these seconds depends on the clock.
        self._environment = {**environment, "TASKS_SCHEDULER_HEALTH_CHECK": "false"}
        self.output = directory / "schedulers.out"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *, clock_off_s: float = 0) -> subprocess.Popen[bytes]:
        program = [str(PROGRAM)]
        if clock_off_s:
            program = ["-m", "tests.faults.skewed_clock", str(clock_off_s), "tests.system.programs.scheduler"]
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", *program, str(SCHEDULES)],
                env={**self._environment, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def end(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def schedulers(surroundings: Surroundings, tmp_path: Path) -> Iterator[Schedulers]:
    started = Schedulers(surroundings.environment, tmp_path)
    yield started
    started.end()


def instants(schedule_id: str) -> Counter[int]:
    """How many tasks stand for each second."""
    cursor, seen = None, {}
    while True:
        page = TaskQueueService.list_tasks(limit=1000, cursor=cursor)
        seen.update({task.id: task for task in page.tasks})
        cursor = page.cursor
        if cursor is None:
            break
    tasks = [task for task in seen.values() if task.schedule_id == schedule_id]
    return Counter(round(task.scheduled_for.timestamp()) for task in tasks if task.scheduled_for)


def lateness(schedule_id: str) -> list[float]:
    return [fire["lateness_seconds"] for fire in SchedulerService.get_job_history(schedule_id)]


def test_each_instant_is_one_task_however_many_schedulers_and_killing_one_skips_none(
    schedulers: Schedulers, until: Callable[..., object]
) -> None:
    # The clocks of two hosts are wrong by a minute. Nobody asks them.
    processes = [schedulers.start(clock_off_s=seconds) for seconds in (0, 60, -60)]
    until(lambda: len(instants("tick-0")) >= 3)

    processes[0].kill()
    killed_at = max(instants("tick-0"))
    until(lambda: max(instants("tick-0")) >= killed_at + 3)
    for process in processes[1:]:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

    assert all(-0.01 < late_s < 10 for late_s in lateness("tick-0")), "by the server's clock, neither early nor late"
    expected = 0
    for n in range(SCHEDULES):
        fired = instants(f"tick-{n}")
        assert sorted(fired) == list(range(min(fired), max(fired) + 1)), "none is missing"
        assert set(fired.values()) == {1}, "none is double"
        expected += len(fired)
    assert TaskQueueService.get_queue_stats()["tasks_queued"] == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_forever_ends_with_a_signal(
    schedulers: Schedulers, until: Callable[..., object], number: signal.Signals
) -> None:
    process = schedulers.start()
    until(lambda: instants("tick-0"))

    process.send_signal(number)

    assert process.wait(5) == 0
    output = schedulers.output.read_text()
    assert f"Received signal {number.value}, shutting down scheduler..." in output
    assert "ended False" in output
