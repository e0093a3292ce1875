"""The servers of the scenarios: one of our own that can be killed, stopped and filled, and the embedded one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import redis

from singleton_service.background.engine.binary import find_server
from singleton_service.background.engine.supervisor import ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PATIENCE_S = 20.0


def wait_for(condition: Callable[[], Any], what: str, within_s: float = _PATIENCE_S) -> Any:
    """Return what *condition* gives once it is true.

    Raises:
        TimeoutError: it was not within *within_s*.
    """
    deadline_s = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(0.01)
    return value


class PlainServer:
    """redis-server (or the one that would be embedded) on a free port; it writes each command down, by default always.

    Attributes:
        variables: what clients need in their environment.
    """

    def __init__(self, directory: Path, fsync: str = "always") -> None:
        directory.mkdir()
        self._directory = directory
        self._fsync = fsync
        self.binary = shutil.which("redis-server") or str(find_server())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.variables = {"REDIS_URL": self.url}
        self._process: subprocess.Popen[bytes] | None = None
        self.admin: Any = redis.Redis(port=self.port, socket_timeout=10)

    def start(self) -> PlainServer:
        """Start, and wait until it answers."""
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "loglevel": "warning",
            "enable-debug-command": "yes",
        }
        command = [self.binary, *(part for name, value in options.items() for part in (f"--{name}", value))]
        with (self._directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_for(self.answers, "the server's first answer")
        return self

    def answers(self) -> bool:
        """Whether it serves."""
        try:
            return bool(self.admin.ping())
        except redis.RedisError:
            return False

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(signum)

    def kill(self) -> None:
        """Kill it, and see it dead."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self.admin.close()
        if self._process is not None:
            self.kill()

    @property
    def version(self) -> str:
        """Its name and version."""
        info = self.admin.info("server")
        name = "Valkey" if "valkey_version" in info else "Redis"
        return f"{name} {info.get('valkey_version', info.get('redis_version'))}"


class EmbeddedServer:
    """The server that programs share when no REDIS_URL says otherwise. It lives as long as one of them does."""

    def __init__(self, directory: Path, fsync: str) -> None:
        self.directory = directory
        self.variables = {"TASKS_DATA_DIR": str(directory), "TASKS_EMBEDDED_FSYNC": fsync}

    @property
    def version(self) -> str:
        """Its name and version."""
        said = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
        name, _, number = said.partition(" server v=")
        return f"{name} {number.split()[0]} (embedded)"

    def answers(self) -> bool:
        """Whether it serves."""
        return ask(str(self.directory / "server.sock"), "PING").startswith(b"+PONG")

    def kill(self) -> None:
        """Kill it; its supervisor starts another."""
        os.kill(int((self.directory / "server.lock").read_text()), signal.SIGKILL)

    def stop(self) -> None:
        """Wait until its users' end has ended it."""
        wait_for(lambda: not (self.directory / "server.sock").exists(), "the embedded server's end")
