"""The page on what may be wrong: each output is what the doctor prints where that is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import BaseService, requires
from singleton_service.background.config import Settings
from singleton_service.background.doctor import examine
from singleton_service.background.engine import open_engine
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.scheduler.scripts import ScheduleKeys
from singleton_service.background.task_queue import TaskHandler, TaskQueueService
from singleton_service.background.worker import WorkerService
from singleton_service.background.worker.crew import Crew
from tests.conftest import clean_process, wait_until
from tests.faults.servers import PlainServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/howto/troubleshooting.md"
SHOWN = re.compile(r"^### ([^\n]+)\n(?:(?!^#).)*?^```console\n\$ ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = SHOWN.findall(PAGE.read_text(encoding="utf-8"))
PROGRAM = """
import os, signal, sys
from services.task_queue import TaskQueueService
from services.worker import WorkerService

TaskQueueService.register_handler("die", lambda payload: os.kill(os.getpid(), signal.SIGKILL))
WorkerService.run_forever(1)
"""


async def crunch(payload: dict[str, Any]) -> None:
    ends_at = time.monotonic() + 0.5
    while time.monotonic() < ends_at:
        pass


class Scene:
    """A folder with a queue of its own, in which something is wrong."""

    def __init__(self, folder: Path, environment: dict[str, str], patch: pytest.MonkeyPatch, ends: ExitStack) -> None:
        self.folder = folder
        self.environment = environment
        self.patch = patch
        self.ends = ends

    def set(self, **variables: str) -> None:
        """Set variables here and for the command."""
        for name, value in variables.items():
            self.patch.setenv(name, value)
            self.environment[name] = value

    def has(self, check: str) -> bool:
        """Whether the doctor finds anything by a check."""
        return any(finding.check == check and finding.fix for finding in examine())

    def run(self, command: str) -> str:
        """Return what a command prints, whichever way."""
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        ).stdout


def nothing(scene: Scene) -> None:
    """All is as it should be."""


def directory_of_another(scene: Scene) -> None:
    theirs = Path("/")
    if os.geteuid() == 0:
        theirs = scene.folder / "theirs"
        theirs.mkdir(mode=0o700)
        os.chown(theirs, 12345, 12345)
    scene.environment["TASKS_DATA_DIR"] = str(theirs)


def misspelt(scene: Scene) -> None:
    (scene.folder / "shop").mkdir()
    (scene.folder / "shop" / "tasks.py").touch()


def nobody(scene: Scene) -> None:
    for _ in range(3):
        TaskQueueService.enqueue_task("x")


def nobody_there(scene: Scene) -> None:
    TaskQueueService.enqueue_task("x", queue="reports")
    WorkerService.start_workers(1, queues="default")


def elsewhere(scene: Scene) -> None:
    data = scene.folder / "data"
    scene.environment["XDG_DATA_HOME"] = str(data)
    del scene.environment["TASKS_DATA_DIR"]
    other = open_engine(Settings(data_dir=data / "singleton-service" / "worker-0b2d3c4e55"))
    scene.ends.callback(other.close)


def unknown(scene: Scene) -> None:
    TaskQueueService.register_handler("send_email", lambda payload: None)
    for _ in range(2):
        TaskQueueService.enqueue_task("sned_email")
    WorkerService.start_workers(1)
    wait_until(lambda: TaskQueueService.get_queue_stats()["held_tasks"] == 2)


def needy(scene: Scene) -> None:
    class Mail(BaseService):
        @classmethod
        def initialize(cls) -> None:
            raise ConnectionError("the mail server is away")

    @requires(Mail)
    class Post(TaskHandler):
        @classmethod
        def perform(cls) -> None: ...

    Post.perform_async()
    WorkerService.start_workers(1)
    wait_until(lambda: TaskQueueService.get_queue_stats()["held_tasks"] == 1)


def paused(scene: Scene) -> None:
    TaskQueueService.register_handler("x", lambda payload: None)
    TaskQueueService.pause_queue("default")
    for _ in range(2):
        TaskQueueService.enqueue_task("x")
    WorkerService.start_workers(1)


def hanging(scene: Scene) -> None:
    scene.set(TASKS_STALL_SECONDS="0.2")
    WorkerService.start_workers(1)
    scene.patch.setattr(Crew, "rounds", 0)
    wait_until(lambda: scene.has("fetching"))
    # It stands still until the end.


def blocking(scene: Scene) -> None:
    scene.set(TASKS_BLOCKED_LOOP_SECONDS="0.1")
    TaskQueueService.register_handler("crunch", crunch)
    WorkerService.start_workers(1)
    # On a busy machine one may go unseen.
    wait_until(lambda: TaskQueueService.enqueue_task("crunch", unique_key="crunch") and scene.has("event loop"))


def dead(scene: Scene) -> None:
    scene.set(TASKS_LEASE_SECONDS="2")
    (scene.folder / "worker.py").write_text(PROGRAM)
    TaskQueueService.enqueue_task("die")
    worker = subprocess.run([sys.executable, "worker.py"], cwd=scene.folder, env=scene.environment, check=False)
    assert worker.returncode < 0
    wait_until(lambda: scene.has("leases"))


def failing(scene: Scene) -> None:
    def charge(payload: dict[str, Any]) -> None:
        raise ValueError("no such card")

    TaskQueueService.register_handler("charge", charge, max_retries=0)
    for _ in range(2):
        TaskQueueService.enqueue_task("charge")
    WorkerService.run_until_empty(1)


def late(scene: Scene) -> None:
    def resize(payload: dict[str, Any]) -> None:
        wait_until(lambda: False)

    TaskQueueService.register_handler("resize", resize, max_retries=0, timeout=0.1)
    TaskQueueService.enqueue_task("resize")
    WorkerService.run_until_empty(1)


def forgetful(scene: Scene) -> None:
    server = own_server(scene)
    server.admin.config_set("maxmemory", str(server.admin.info("memory")["used_memory"]))
    server.admin.config_set("maxmemory-policy", "allkeys-lru")


def volatile(scene: Scene) -> None:
    own_server(scene).admin.config_set("appendonly", "no")


def overdue(scene: Scene) -> None:
    SchedulerService.schedule_task("report", {}, "every 5 minutes", id="report")
    client = TaskQueueService._open_client()
    # As if that time had passed with no scheduler.
    due_ms = int(time.time() - 150) * 1000
    client.link.call(b"ZADD", ScheduleKeys(client.settings.namespace).key("instants"), b"XX", due_ms, b"report")


def own_server(scene: Scene) -> PlainServer:
    server = PlainServer(scene.folder / "server").start()
    scene.ends.callback(server.stop)
    scene.environment["REDIS_URL"] = server.url
    return server


SCENES: dict[str, Callable[[Scene], None]] = {
    "The server is not there": nothing,
    "The data directory is another user's": directory_of_another,
    "A module is not there": misspelt,
    "A setting can't be used": nothing,
    "Nobody takes them": nobody,
    "Nobody takes from that queue": nobody_there,
    "The workers are at another server": elsewhere,
    "No worker knows the name": unknown,
    "What the handler requires is away": needy,
    "The queue is paused": paused,
    "The worker is up and does nothing": hanging,
    "All coroutines stand still now and then": blocking,
    "A worker died, and its tasks stay running": dead,
    "They fail": failing,
    "The server grows, or throws tasks away": forgetful,
    "Tasks are gone after a restart of the server": volatile,
    "Tasks are over their time limit": late,
    "A schedule does not fire": overdue,
}


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="ts-") as directory:
        yield Path(directory)
        wait_until(lambda: not list(Path(directory).glob("**/server.sock")))


@pytest.fixture
def scene(embedded_data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    variables = {"TASKS_DATA_DIR": str(embedded_data_dir), "TASKS_NAMESPACE": f"t{uuid.uuid4().hex[:12]}"}
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with folder_of_its_own() as folder:
        monkeypatch.chdir(folder)
        # The command of this very source, whatever is installed.
        command = folder / "bin" / "singleton-service"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m singleton_service "$@"\n')
        command.chmod(0o700)
        path = f"{command.parent}:{os.environ['PATH']}"
        with clean_process(), monkeypatch.context() as patch, ExitStack() as ends:
            yield Scene(folder, {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}, patch, ends)


def words_of(output: str) -> list[str]:
    """Return the lines, with what differs from machine to machine and how far they are set apart left out."""
    output = re.sub(r"(?<= )/[\w/-][\w./-]*", "PATH", output)
    output = re.sub(r"[\w.-]+:\d+:[0-9a-f]{16}", "WORKER", output)
    output = re.sub(r"default\.\w+", "TASK", output)
    output = re.sub(r"[\d.]+ (bytes|[kMG]B)", "SIZE", output)
    return [" ".join(re.sub(r"\d+(\.\d+)?", "N", line).split()) for line in output.splitlines()]


@pytest.mark.parametrize(("symptom", "command", "output"), BLOCKS, ids=[symptom for symptom, _, _ in BLOCKS])
def test_the_doctor_says_what_the_page_says(symptom: str, command: str, output: str, scene: Scene) -> None:
    SCENES[symptom](scene)
    assert words_of(scene.run(command)) == words_of(output)


def test_each_scene_is_shown() -> None:
    assert [symptom for symptom, _, _ in BLOCKS] == list(SCENES)
