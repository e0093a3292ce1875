"""A server of the benchmark's own: on a free port of the loopback, with nothing on disk unless asked for."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 10.0


class NoServerError(RuntimeError):
    """There is no program to start."""


class Server:
    """One redis-server.

    Attributes:
        port: where it listens, on 127.0.0.1.
        client: for the harness's own questions.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = redis.Redis(host="127.0.0.1", port=port)

    @property
    def url(self) -> str:
        """The address every peer is given."""
        return f"redis://127.0.0.1:{self.port}/0"

    def used_memory(self) -> int:
        """Return the bytes it holds, without what serves its clients."""
        said: dict[str, Any] = self.client.info("memory")
        return int(said["used_memory"]) - int(said["mem_clients_normal"])

    def describe(self) -> str:
        """Say which server this is, and what it keeps."""
        said: dict[str, Any] = self.client.info()
        kept = "append-only file, fsync every second" if said["aof_enabled"] else "nothing on disk"
        name, number = said.get("server_name", "Redis"), said.get("valkey_version", said["redis_version"])
        return f"{name} {number}, TCP on the loopback, {kept}"

    @contextmanager
    def counting(self) -> Iterator[Commands]:
        """Count the commands of all clients but the harness's own while in here; the server slows down meanwhile."""
        commands = Commands(self.port)
        try:
            yield commands
        finally:
            commands.stop()


class Commands:
    """What MONITOR tells: commands that clients sent, and those that scripts ran."""

    def __init__(self, port: int) -> None:
        self.sent = 0
        self.in_scripts = 0
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def _count(self) -> None:
        for line in self._lines:
            if b" lua] " in line:
                self.in_scripts += 1
            else:
                self.sent += 1

    def stop(self) -> None:
        """Stop counting."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._lines.close()
        self._socket.close()


@contextmanager
def own_server(directory: Path, *, is_durable: bool = False) -> Iterator[Server]:
    """Start a server and end it.

    Raises:
        NoServerError: neither redis-server nor valkey-server is on PATH.
    """
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise NoServerError("no redis-server on PATH; on Debian: apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory), "--save", ""]
    command += ["--appendonly", "yes" if is_durable else "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(port)
    try:
        _wait_for(server)
        yield server
    finally:
        server.client.close()
        process.kill()
        process.wait()


def _wait_for(server: Server) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            server.client.ping()
        except redis.ConnectionError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)
        else:
            return
