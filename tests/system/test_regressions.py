"""Faults that were found once, each with the day that shows it. They need a server or a line that can be spoilt."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest
from singleton_service.background.worker import WorkerService, lane, lookahead
from tests.conftest import REDIS_SERVER, WITHOUT_REDIS, RedisServer, clean_process
from tests.system.conftest import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(REDIS_SERVER is None, reason=WITHOUT_REDIS)


class SlowLine:
    """A line to a server on which every answer is late."""

    def __init__(self, server_port: int, delay_s: float) -> None:
        self._server_port = server_port
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        for end in [self._listener, *self._sockets]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in [self._listener, *self._sockets]:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [near, far]
                for arguments in ((near, far, 0.0), (far, near, self._delay_s)):
                    self._threads.append(threading.Thread(target=self._carry, args=arguments))
                    self._threads[-1].start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay_s)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server of this test's own, not started yet, that keeps its data."""
    # With "everysec" it may answer before anything is written, while the disk is slow: then a kill takes it.
    keeps = ("--appendonly", "yes", "--appendfsync", "always")
    own = RedisServer(tmp_path, *keeps, "--client-query-buffer-limit", "8mb")
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", own.url)
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "2")
    monkeypatch.chdir(tmp_path)
    with clean_process():
        yield own
    own.kill()


@pytest.fixture
def slow_line(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowLine]:
    """The only way to the server, 15 ms long."""
    line = SlowLine(server.start().port, 0.015)
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{line.port}/0")
    with clean_process():
        yield line
    line.close()


@pytest.fixture
def release(server: RedisServer) -> Iterator[threading.Event]:
    """What handlers wait for. It comes at the end, before the worker is stopped, whatever became of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_tasks_run_over_a_slow_line(slow_line: SlowLine) -> None:
    """The dispatcher asked for more urgent work, found its question old when the answer came, and asked again."""
    TaskQueueService.register_handler("x", lambda payload: payload["n"])
    WorkerService.start_workers(2)
    assert TaskQueueService.get_result(TaskQueueService.enqueue_task("x", {"n": 1}), timeout=10) == 1


def test_what_is_to_be_handed_back_while_the_server_is_away_is_handed_back_when_it_is_there(
    server: RedisServer, release: threading.Event, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was neither here nor there: no thread would run it, and its lease was renewed for ever."""
    server.start()
    TaskQueueService.register_handler("quick", lambda payload: None)
    TaskQueueService.register_handler("slow", lambda payload: release.wait(30))
    WorkerService.start_workers(1)
    crew = WorkerService._crew
    assert crew is not None
    TaskQueueService.enqueue_many([TaskRequest("quick") for _ in range(50)])
    until(lambda: TaskQueueService.get_queue_stats()["tasks_processed"] == 50)
    with monkeypatch.context() as for_long:
        # Nothing is handed back before the server is away, and however slow this machine is, all is fetched ahead.
        for_long.setattr(lane, "HORIZON_S", 3600.0)
        for_long.setattr(lookahead, "HORIZON_S", 3600.0)
        TaskQueueService.enqueue_many([TaskRequest("slow"), *[TaskRequest("quick") for _ in range(450)]])
        until(lambda: TaskQueueService.get_queue_stats()["running_tasks"] == 451)
        server.kill()
    until(lambda: len(crew._dispatcher._in_hand) == 1)
    server.start()
    until(lambda: TaskQueueService.get_queue_stats()["pending_tasks"] == 450)
    release.set()
    until(lambda: TaskQueueService.get_queue_stats()["tasks_processed"] == 501)


def test_many_large_results_at_once_are_sent_in_portions(
    server: RedisServer, release: threading.Event, until: Any
) -> None:
    """All in one command, they were more than the server takes: it hung up, and they were sent again for ever."""
    server.start()

    def large(payload: dict[str, Any]) -> str:
        release.wait(30)
        return "x" * 1024 * 1024

    TaskQueueService.register_handler("large", large)
    WorkerService.start_workers(20)
    TaskQueueService.enqueue_many([TaskRequest("large") for _ in range(20)])
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 20)
    server.kill()
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1)
    release.set()
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 0)
    server.start()
    until(lambda: TaskQueueService.get_queue_stats()["tasks_processed"] == 20, 30)


def test_whoever_is_back_first_after_an_outage_leaves_the_others_their_tasks(
    server: RedisServer, until: Any, tmp_path: Path
) -> None:
    """All leases had ended by then, so it took what the others were still running, and counted a crash for each."""
    server.start()
    workers = Workers({**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, tmp_path)
    ids = [TaskQueueService.enqueue_task("sleep", {"n": n, "seconds": 6}) for n in range(3)]
    try:
        for _ in ids:
            workers.start(threads=1)
        until(lambda: len(workers.count("begin")) == 3)
        server.kill()
        began = time.monotonic()
        # Longer than a lease.
        until(lambda: time.monotonic() - began > 3)
        server.start()
        until(lambda: TaskQueueService.get_queue_stats()["tasks_processed"] == 3, 20)
        assert workers.count("begin") == {"0": 1, "1": 1, "2": 1}
        assert TaskQueueService.get_queue_stats()["tasks_recovered"] == 0
    finally:
        workers.end()


def test_a_queue_is_known_again_when_its_server_has_lost_its_memory(server: RedisServer) -> None:
    """Its tasks ran, but no listing and no statistics showed it."""
    server.options = ()
    server.start()
    TaskQueueService.enqueue_task("x")
    server.kill()
    server.start()
    TaskQueueService.enqueue_task("x")
    assert TaskQueueService.get_queue_stats()["pending_tasks"] == 1
