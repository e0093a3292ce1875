"""Real servers for every test that wants one; each test has its own namespace, none flushes a server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

import singleton_service
from singleton_service.background.config import Settings
from singleton_service.background.engine import open_engine
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import hooks, loop_resources, registering, scopes, thread_resources
from tests.faults.proxy import Proxy
from tests.faults.servers import PlainServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

REDIS_SERVER = shutil.which("redis-server")
WITHOUT_REDIS = "no redis-server on PATH: the contract suite runs on the embedded server alone"

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    # Where these tests run in the background of a shell script, Ctrl-C is ignored, and programs inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"engines: embedded, {REDIS_SERVER}" if REDIS_SERVER else WITHOUT_REDIS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if REDIS_SERVER is None:
        terminalreporter.write_line(WITHOUT_REDIS)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Tests run in several processes; what is no UTF-8 in their logs must not break the line between these."""
    return _utf8((yield))


def _utf8(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_utf8(key): _utf8(inner) for key, inner in value.items()}
        case list() | tuple():
            return type(value)(map(_utf8, value))
        case _:
            return value


def wait_until(condition: Callable[[], Any], within_s: float = 15.0) -> Any:
    """Return what *condition* gives once it is true; fail after *within_s*."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        time.sleep(0.005)
    return value


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_until


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], Any]], threading.Thread]]:
    """Run something in a thread of its own; what it raises fails the test."""
    errors: list[BaseException] = []
    threads: list[threading.Thread] = []

    def start(function: Callable[[], Any]) -> threading.Thread:
        def run() -> None:
            try:
                function()
            except BaseException as error:
                errors.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(30)
    assert not errors, errors


class RedisServer:
    """A server on a free port, in a directory of its own, redis-server unless told; for outages, one to be killed."""

    def __init__(self, directory: Path, *options: str, binary: str | None = REDIS_SERVER) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.directory = directory
        self.options = options
        self.binary = binary
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        assert self.binary is not None
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self.answers)
        return self

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) in {b"+PONG", b"-NOAU"}
        except OSError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PlainServer]:
    """One of this test's own, to be stopped and looked into."""
    server = PlainServer(tmp_path / "server").start()
    yield server
    server.stop()


@pytest.fixture
def line(server: PlainServer) -> Iterator[Proxy]:
    """The way to it, which can be made bad."""
    line = Proxy("127.0.0.1", server.port).start()
    yield line
    line.stop()


@pytest.fixture
def application(line: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process, as an application whose server is at the other end of the line."""
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", line.url)
    monkeypatch.chdir(tmp_path)
    with clean_process():
        yield


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if REDIS_SERVER is None:
        pytest.skip(WITHOUT_REDIS)
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server.url
    server.kill()


@pytest.fixture(scope="session")
def embedded_data_dir() -> Iterator[Path]:
    # One user for the whole run keeps the server up between tests. A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="tq-") as directory:
        engine = open_engine(Settings(data_dir=Path(directory)))
        yield Path(directory)
        engine.close()
        deadline = time.monotonic() + 10
        # The supervisor takes its socket away when the server has ended.
        while (Path(directory) / "server.sock").exists() and time.monotonic() < deadline:
            time.sleep(0.01)


@dataclass(frozen=True)
class Surroundings:
    """What a process needs in its environment to use the same queue as this test."""

    engine: str
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
        return {**kept, **self.variables}


@pytest.fixture(params=["embedded", "redis"])
def surroundings(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Surroundings]:
    """The environment of one test on one engine; a test asks for it, or for `queue`, and runs on both."""
    variables = {"TASKS_NAMESPACE": f"t{uuid.uuid4().hex[:12]}", "TASKS_LEASE_SECONDS": "2"}
    if request.param == "embedded":
        variables["TASKS_DATA_DIR"] = str(request.getfixturevalue("embedded_data_dir"))
    else:
        variables["REDIS_URL"] = request.getfixturevalue("redis_url")
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with clean_process():
        yield Surroundings(request.param, variables)


@pytest.fixture
def queue(surroundings: Surroundings) -> type[TaskQueueService]:
    """TaskQueueService on its own namespace, with no handlers registered."""
    return TaskQueueService


@pytest.fixture(autouse=True)
def bare_workers() -> Iterator[None]:
    """Workers with no hooks, resources and scopes but those of the test."""
    added: list[list[Any]] = [
        *(hooks.WORKER_START, hooks.WORKER_STOP, hooks.BEFORE_TASK, hooks.AFTER_TASK, hooks.TASK_FAILURE),
        *(thread_resources.RESOURCES, loop_resources.LOOP_RESOURCES, scopes.AROUND_FUNCTIONS, scopes.AROUND_COROUTINES),
    ]
    before, modules = [list(things) for things in added], dict(registering.MODULES)
    registering.MODULES.clear()
    for things in added:
        things.clear()
    yield
    for things, were in zip(added, before, strict=True):
        things[:] = were
    registering.MODULES.update(modules)


@contextmanager
def clean_process() -> Iterator[None]:
    """Leave no service, handler or thread of ours behind."""
    handlers = dict(TaskQueueService._task_handlers)
    TaskQueueService._task_handlers.clear()
    threads = set(threading.enumerate())
    try:
        yield
    finally:
        singleton_service.stop()
        TaskQueueService.resume_accepting_tasks()
        TaskQueueService._task_handlers.clear()
        TaskQueueService._task_handlers.update(handlers)
        wait_until(lambda: not _ours(set(threading.enumerate()) - threads))


def _ours(threads: set[threading.Thread]) -> list[threading.Thread]:
    names = ("worker", "task-queue", "scheduler")
    return [thread for thread in threads if thread.name.startswith(names) and thread.is_alive()]
