"""A queue on a bare server of its own, spoken to in bulk: what the benchmarks of memory and depth measure on.

The server is Debian's redis-server or the embedded Valkey, on a unix socket in a temporary directory, with nothing on
disk: what is measured is the queue, not the disk.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from singleton_service.background.config import Settings
from singleton_service.background.engine import open_engine
from singleton_service.background.engine.binary import find_server
from singleton_service.background.engine.embedded import SERVER_ENVIRONMENT
from singleton_service.background.task_queue.client import QueueClient
from singleton_service.background.task_queue.protocol import Protocol
from singleton_service.background.task_queue.records import TaskRequest
from singleton_service.background.task_queue.requests import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singleton_service.background.task_queue.lease import Lease

PAYLOAD = {"recipient": "user@example.com", "subject": "Welcome!", "body": "x" * 64}
RESULT = b'{"status":"sent"}'
# As long as one in a container: 12 characters of host, the process id, 8 hex digits.
WORKER = "0a1b2c3d4e5f:12345:0f1e2d3c"
BULK, BATCH = 1000, 100
_MAX_PAYLOAD = 1 << 20


@dataclass
class BareQueue:
    """One queue. Every step is a script of the protocol, in batches as the real clients send them."""

    server: redis.Redis
    client: QueueClient
    protocol: Protocol

    def limit(self, **changes: int) -> None:
        """Change how much is kept, and for how long."""
        limits = replace(self.client.limits, **changes)
        self.protocol = Protocol(self.client.scripts, self.client.settings.namespace, "default", WORKER, limits)

    def enqueue(self, number: int, at_a_time: int = BULK, **arguments: Any) -> None:
        """Enqueue so many reference tasks."""
        request = TaskRequest("send_email", PAYLOAD, **arguments)
        for first in range(0, number, at_a_time):
            tasks = [prepare(request, {}, _MAX_PAYLOAD) for _ in range(min(at_a_time, number - first))]
            self.client.link.run([self.protocol.enqueue([(task.uid, task.when, task.body) for task in tasks])])

    def fetch(self, number: int) -> list[Lease]:
        """Lease so many, a hundred a call."""
        leases: list[Lease] = []
        while len(leases) < number:
            (reply,) = self.client.link.run([self.protocol.fetch(min(BATCH, number - len(leases)), BATCH)])
            leases += self.protocol.fetched(reply).leases
        return leases

    def complete(self, leases: Sequence[Lease]) -> None:
        """Finish them, a hundred a call."""
        for first in range(0, len(leases), BATCH):
            batch = [(lease, RESULT) for lease in leases[first : first + BATCH]]
            self.client.link.run([self.protocol.complete(batch)])

    def run(self, number: int) -> None:
        """Have so many tasks go all the way."""
        for first in range(0, number, BULK):
            few = min(BULK, number - first)
            self.enqueue(few)
            self.complete(self.fetch(few))

    def used_memory(self) -> int:
        """Return what the server holds, without what serves its clients."""
        said: dict[str, Any] = self.server.info("memory")
        return int(said["used_memory"]) - int(said["mem_clients_normal"])

    def empty(self) -> None:
        """Take the queue off the server."""
        self.server.flushall()


def servers() -> Iterator[Path]:
    """Yield the servers there are: redis-server, and the embedded one."""
    if found := shutil.which("redis-server"):
        yield Path(found)
    embedded = find_server()
    if embedded.name == "valkey-server":
        yield embedded


@contextmanager
def bare_queue(server: Path) -> Iterator[BareQueue]:
    """Start a server and give a warm queue on it, then end the server."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        socket = f"{directory}/s"
        command = [str(server), "--port", "0", "--unixsocket", socket, "--dir", directory]
        command += ["--save", "", "--appendonly", "no"]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=SERVER_ENVIRONMENT
        )
        try:
            connection = redis.Redis(unix_socket_path=socket)
            _wait_for(connection)
            settings = Settings(redis_url=f"unix://{socket}")
            client = QueueClient(open_engine(settings), settings)
            queue = BareQueue(connection, client, client.protocol("default"))
            queue.limit()
            # Scripts loaded, buffers grown.
            queue.run(3 * BULK)
            queue.empty()
            yield queue
            client.close()
            connection.close()
        finally:
            process.terminate()
            process.wait()


def describe(queue: BareQueue) -> str:
    """Say what was measured on."""
    said: dict[str, Any] = queue.server.info("server")
    name, number = said.get("server_name", "redis"), said.get("valkey_version", said["redis_version"])
    return f"{name} {number} ({queue.server.info('memory')['mem_allocator']}), {platform.platform()}"


def _wait_for(connection: redis.Redis) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            connection.ping()
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
