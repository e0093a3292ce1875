"""What does each durability cost an enqueue?

On servers of its own, on this disk: the embedded one with each `TASKS_EMBEDDED_FSYNC`, and the same program as a
primary with one replica beside it. Each way enqueues one task at a time, then 1,000 in one call, for a moment; the ways
take turns, and the medians count. Ratios are against `memory` of the same server. A replica on the same machine has no
network to cross: with a real one, add its round trip.

    python benchmarks/durability.py [--seconds 0.3] [--rounds 5] [--directory DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from services.task_queue import TaskQueueService, TaskRequest
from singleton_service import stop
from singleton_service.background.engine.binary import find_server
from singleton_service.background.engine.locks import LockFile
from singleton_service.background.engine.supervisor import SUPERVISOR_LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAYLOAD = {"recipient": "user@example.com", "subject": "Welcome!", "body": "x" * 64}
BATCH = 1000
PATIENCE_S = 20.0


def enqueue_for(seconds: float, durability: str) -> tuple[float, float]:
    """Return how many tasks a second go in one at a time, and in batches."""
    return (
        rate(seconds, 1, lambda: TaskQueueService.enqueue_task("send_email", PAYLOAD, durability=durability)),
        rate(
            seconds,
            BATCH,
            lambda: TaskQueueService.enqueue_many(
                TaskRequest("send_email", PAYLOAD, durability=durability) for _ in range(BATCH)
            ),
        ),
    )


def rate(seconds: float, tasks: int, call: Callable[[], object]) -> float:
    call()
    began_s, calls = time.perf_counter(), 0
    while time.perf_counter() - began_s < seconds:
        call()
        calls += 1
    return tasks * calls / (time.perf_counter() - began_s)


def measure(server: str, durabilities: list[str], given: argparse.Namespace) -> None:
    """Print a line per durability; the services are started anew for each server."""
    figures: dict[str, list[tuple[float, float]]] = {durability: [] for durability in durabilities}
    try:
        for _ in range(given.rounds):
            for durability in durabilities:
                figures[durability].append(enqueue_for(given.seconds, durability))
                TaskQueueService.purge_queue("default")
    finally:
        stop()
    base = statistics.median(singles for singles, _ in figures["memory"])
    for durability, rounds in figures.items():
        singles, many = (statistics.median(column) for column in zip(*rounds, strict=True))
        low, high = min(rounds)[0], max(rounds)[0]
        print(
            f"{server:<20}{durability:<9}{singles:>9,.0f}{1000 / singles:>9.2f}{singles / base:>8.3f}"
            f"{low:>10,.0f}{high:>9,.0f}{many:>11,.0f}",
            flush=True,
        )


@contextmanager
def embedded(fsync: str, parent: Path) -> Iterator[None]:
    """The embedded server with that fsync, in a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="durable-", dir=parent))
    os.environ.update(TASKS_DATA_DIR=str(directory), TASKS_EMBEDDED_FSYNC=fsync)
    try:
        yield
    finally:
        stop()
        lock = LockFile(directory / SUPERVISOR_LOCK)
        deadline_s = time.monotonic() + PATIENCE_S
        while not lock.try_alone() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        lock.close()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def replicated(parent: Path) -> Iterator[None]:
    """A primary with an append-only file that is always forced, and its replica."""
    directory = Path(tempfile.mkdtemp(prefix="replicas-", dir=parent))
    processes: list[subprocess.Popen[bytes]] = []
    ports: list[int] = []
    try:
        for name, options in (("primary", ()), ("replica", ("--replicaof", "127.0.0.1 {0}"))):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
            (directory / name).mkdir()
            command = [str(find_server()), "--port", str(ports[-1]), "--bind", "127.0.0.1"]
            command += [
                "--dir",
                str(directory / name),
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
                "--logfile",
                "log",
            ]
            command += ["--repl-diskless-sync-delay", "0", *(option.format(*ports) for option in options)]
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        with redis.Redis(port=ports[0], single_connection_client=True) as client:
            deadline_s = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline_s:
                with suppress(redis.RedisError):
                    client.set("begun", 1)
                    if client.wait(1, 1000):
                        break
                time.sleep(0.05)
        os.environ["REDIS_URL"] = f"redis://127.0.0.1:{ports[0]}/0"
        yield
    finally:
        stop()
        os.environ.pop("REDIS_URL", None)
        for process in processes:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.3, help="how long each way enqueues, twice a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("TASKS_") or name == "REDIS_URL"]:
        del os.environ[name]

    print(platform.platform(), f"{os.cpu_count()} cores", f"Python {platform.python_version()}", sep=", ")
    print(f"redis-py {redis.__version__}, {find_server().name}, data in {given.directory}")
    print(f"{given.rounds} rounds of {given.seconds:g} s each, medians")
    titles = f"{'one/s':>9}{'ms':>9}{'ratio':>8}{'min':>10}{'max':>9}{'1,000s/s':>11}"
    print(f"{'server':<20}{'asked':<9}{titles}")
    for fsync, durabilities in (("no", ["memory"]), ("always", ["memory", "disk"]), ("everysec", ["memory", "disk"])):
        with embedded(fsync, given.directory):
            measure(f"embedded {fsync}", durabilities, given)
    with replicated(given.directory):
        measure("always, 1 replica", ["memory", "disk", "replica"], given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
