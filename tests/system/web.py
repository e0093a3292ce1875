"""Applications under a real uvicorn, in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx

from tests.system.place import EXAMPLES, processes_about, wait_until

if TYPE_CHECKING:
    from pathlib import Path

# What a scheduler enqueues by itself would be counted with what a test enqueues.
QUIET = {"TASKS_SCHEDULER_HEALTH_CHECK": "false", "TASKS_SCHEDULER_CLEANUP": "false", "PYTHONUNBUFFERED": "1"}


class WebServer:
    """An application under uvicorn, in a process of its own."""

    def __init__(self, folder: Path, app: str, data_dir: Path, settings: dict[str, str]) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("TASKS_")}
        ours.pop("REDIS_URL", None)
        self.printed: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--app-dir", folder, app, "--host", "127.0.0.1", "--port", "0"],
            cwd=data_dir.parent,
            env={**ours, **QUIET, "TASKS_DATA_DIR": str(data_dir), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_until(lambda: "Uvicorn running on" in self.output or self.process.poll() is not None, within_s=30)
        address = re.search(r"Uvicorn running on (\S+)", self.output)
        assert address, self.output
        self.client = httpx.Client(base_url=address[1], timeout=20)

    @property
    def output(self) -> str:
        return "".join(self.printed)

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.printed.extend(self.process.stdout)

    def post(self, name: str, payload: dict[str, Any], **more: Any) -> str:
        answer = self.client.post("/tasks", json={"name": name, "payload": payload, **more})
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "queued"
        task_id: str = answer.json()["task_id"]
        return task_id

    def task(self, task_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self.client.get("/stats").json()
        return stats

    def end(self, signum: int) -> float:
        """Send a signal and return how many seconds the process then took to end."""
        started = time.monotonic()
        self.process.send_signal(signum)
        self.process.wait(timeout=40)
        self._reader.join(timeout=10)
        return time.monotonic() - started

    def leave(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(timeout=10)
        self.client.close()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Site:
    """Where the web servers of one test run, on one queue."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data_dir = path / "queue"
        self.servers: list[WebServer] = []

    def serve(self, app: str, folder: Path, settings: dict[str, str]) -> WebServer:
        server = WebServer(folder, app, self.data_dir, settings)
        self.servers.append(server)
        return server

    def serve_example(self, name: str = "fastapi_worker_api", **settings: str) -> WebServer:
        return self.serve(f"{name}:app", EXAMPLES, settings)

    def serve_source(self, source: str, **settings: str) -> WebServer:
        (self.path / "site_app.py").write_text(source)
        return self.serve("site_app:app", self.path, settings)

    def leave(self) -> None:
        for server in self.servers:
            server.leave()
        # The embedded server goes by itself when its last user has gone, however that went.
        wait_until(lambda: not processes_about(self.data_dir), within_s=15)
