"""Servers of one make with which durability is tried, and what the tests ask of them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import redis

from singleton_service.background.task_queue import DurabilityError, TaskQueueError, TaskQueueService, TaskRequest
from tests.conftest import RedisServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

WITH_FILE = ("--appendonly", "yes", "--appendfsync")
# A replica that falls silent stays connected for a minute; a new one is served at once.
PRIMARY = ("--repl-diskless-sync-delay", "0")


class Servers:
    """Servers of one make; the first that is started is the one that the queue of this test uses."""

    def __init__(self, binary: str, directories: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = said.partition("v=")[2].split()[0]
        self._binary = binary
        self._directories = directories
        self._monkeypatch = monkeypatch
        self._started: list[RedisServer] = []

    def start(self, *options: str) -> RedisServer:
        server = RedisServer(self._directories.mktemp("server"), *options, binary=self._binary).start()
        if not self._started:
            self._monkeypatch.setenv("REDIS_URL", server.url)
        self._started.append(server)
        return server

    def start_pair(self) -> tuple[RedisServer, RedisServer]:
        """Start a server with a replica that has all it has."""
        primary = self.start(*PRIMARY)
        replica = self.start("--replicaof", f"127.0.0.1 {primary.port}")
        until_replicated(primary)
        return primary, replica

    @property
    def knows_waitaof(self) -> bool:
        return tuple(map(int, self.version.split(".")[:2])) >= (7, 2)

    @property
    def hide_waitaof(self) -> tuple[str, ...]:
        """Options with which it is a server that does not know WAITAOF."""
        return ("--rename-command", "WAITAOF", "") if self.knows_waitaof else ()

    def end(self) -> None:
        for server in self._started:
            server.kill()


def command(server: RedisServer, *words: str) -> Any:
    with redis.Redis(port=server.port, socket_timeout=10) as client:
        return client.execute_command(*words)


def info(server: RedisServer, section: str) -> dict[str, Any]:
    found: dict[str, Any] = command(server, "INFO", section)
    return found


def until_replicated(primary: RedisServer) -> None:
    """Wait for a replica to have all there is; connected, it may still be loading."""
    with redis.Redis(port=primary.port, socket_timeout=30, single_connection_client=True) as client:
        client.set("written-by-the-test", 1)
        assert client.wait(1, 20_000) == 1
        client.delete("written-by-the-test")


def calls(server: RedisServer, name: str) -> int:
    found: int = info(server, "commandstats").get(f"cmdstat_{name}", {}).get("calls", 0)
    return found


@contextmanager
def stopped(server: RedisServer) -> Iterator[None]:
    """Have a server stay connected and say nothing."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def enqueue(durability: str | None = None, **others: Any) -> str:
    return TaskQueueService.enqueue_task("x", durability=durability, **others)


def until_confirmed(durability: str, task_id: str) -> str:
    """Enqueue a task until it is confirmed: that may take a slow machine longer than one enqueue waits for it."""

    def confirmed() -> str | None:
        with suppress(DurabilityError):
            return enqueue(durability, task_id=task_id)
        return None

    found: str = wait_until(confirmed)
    return found


def requests(count: int, durability: str) -> list[TaskRequest]:
    return [TaskRequest("x", {"n": n}, durability=durability) for n in range(count)]


def queued() -> int:
    return TaskQueueService.get_queue_stats()["tasks_queued"]


class Load:
    """Two threads that enqueue one task after the other until the server is gone."""

    def __init__(self, durability: str) -> None:
        self.acknowledged: list[str] = []
        self._durability = durability
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        with suppress(TaskQueueError):
            while True:
                self.acknowledged.append(enqueue(self._durability))

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
