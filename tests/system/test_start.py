"""What a process imports before its first task is most of the time that its start takes, and much of its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = "singleton_service.background"
NOT_NEEDED = {
    "asyncio",
    "uvloop",
    "ssl",
    "subprocess",
    "locale",
    "pickle",
    "sysconfig",
    "redis",
    "pydantic",
    "pydantic_settings",
    "dotenv",
    "cronsim",
    "schedule",
    "multiprocessing",
    "logging.handlers",
    "http.server",
    "importlib.resources",
    "zipfile",
    f"{OURS}.config.model",
    f"{OURS}.engine.embedded",
    f"{OURS}.engine.tls",
    f"{OURS}.expressions",
    f"{OURS}.task_queue.loop_line",
    f"{OURS}.task_queue.shapes",
    f"{OURS}.worker.loop_stacks",
    f"{OURS}.worker.processes.child",
}
PRODUCER = """
import sys
from services.task_queue import TaskQueueService

TaskQueueService.enqueue_task("note", {"a": 1})
"""
WORKER = f"""{PRODUCER}
import threading
from services.worker import WorkerService

done = threading.Event()
TaskQueueService.register_handler("note", lambda payload: done.set())
WorkerService.start_workers(2)
assert done.wait(20)
WorkerService.stop_workers()
"""


@pytest.mark.parametrize("program", [PRODUCER, WORKER], ids=["producer", "worker"])
def test_a_process_that_does_plain_tasks_imports_nothing_that_they_do_not_need(
    program: str, redis_url: str, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKS_")}
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(*sys.modules)"],
        env=environment
        | {
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": redis_url,
            "TASKS_NAMESPACE": "start",
            "TASKS_ASYNC_CONCURRENCY": "50",
            "TASKS_LEASE_SECONDS": "7.5",
            "TASKS_DATA_DIR": "data",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert NOT_NEEDED & set(done.stdout.split()) == set()
