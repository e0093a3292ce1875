"""`singleton-service dev`: an app, a worker and a scheduler, as somebody has them who writes all three."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.place import group_exists
from tests.system.test_supervisor import Supervised

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from singleton_service.background.task_queue import TaskQueueService
    from tests.conftest import Surroundings
    from tests.system.conftest import Workers

APP = """
from fastapi import FastAPI
from services.task_queue import task

app = FastAPI()

@task(schedule="every 1 seconds")
def tick():
    return {number}

@app.get("/")
def home():
    return {number}
"""


def get(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None


@pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
def test_all_start_anew_at_a_change_and_one_ctrl_c_ends_them(
    queue: type[TaskQueueService],
    surroundings: Surroundings,
    tmp_path: Path,
    workers: Workers,
    until: Any,
    at_end: Callable[..., int],
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page = tmp_path / "page.py"
    page.write_text(APP.replace("{number}", "1"))
    supervised = Supervised(surroundings.environment, tmp_path, workers)
    parent = supervised.start("dev", "page:app", "--port", str(port))
    until(lambda: get(port) == "1", 30)
    until(lambda: any(task.result == 1 for task in queue.list_tasks(name="tick").tasks), 30)

    page.write_text(APP.replace("{number}", "22"))

    until(lambda: get(port) == "22", 30)
    until(lambda: any(task.result == 22 for task in queue.list_tasks(name="tick").tasks), 30)
    os.killpg(parent.pid, signal.SIGINT)
    assert at_end(parent) == 0
    until(lambda: not group_exists(parent.pid))
    said = supervised.said()
    assert "worker    | info: Started 4 worker threads\n" in said
    assert "web       | INFO:     Application startup complete.\n" in said
    assert re.search(r"^scheduler \| info: Received .*, shutting down scheduler", said, re.MULTILINE)
    assert "Traceback" not in said
