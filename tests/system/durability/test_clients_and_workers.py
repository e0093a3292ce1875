"""The death of a program that enqueued, and of one that worked, costs nothing, whatever durability was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import WorkerService
from tests.system.durability.servers import WITH_FILE, command

if TYPE_CHECKING:
    from tests.system.durability.servers import Servers

PROGRAM = Path(__file__).parents[1] / "programs" / "takes_and_dies.py"


def run_after_a_death(*durabilities: str) -> None:
    """Have a program enqueue and lease tasks, kill it, and run them here."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", PROGRAM, *durabilities], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as program:
        try:
            assert program.stdout is not None
            ids = program.stdout.readline().split()
        finally:
            program.kill()
    assert len(ids) == len(durabilities)
    TaskQueueService.register_handler("x", len)
    WorkerService.start_workers(2)
    assert [TaskQueueService.get_result(one, timeout=20) for one in ids] == [0] * len(ids)


def test_tasks_outlive_who_enqueued_and_who_worked(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "2")
    primary, _ = servers.start_pair()
    for name, value in zip(("appendonly", "appendfsync"), (WITH_FILE[1], "always"), strict=True):
        command(primary, "CONFIG", "SET", name, value)
    run_after_a_death("memory", "disk", "replica")


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("fsync", ["no", "always", "everysec"])
def test_tasks_outlive_who_enqueued_and_who_worked_on_the_embedded_server(
    fsync: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "2")
    monkeypatch.setenv("TASKS_EMBEDDED_FSYNC", fsync)
    run_after_a_death("memory", *(["disk"] if fsync != "no" else []))
