"""What does the embedded server lose when it is killed, and what does keeping it cost?

Each round starts a server in a fresh directory, loads it over pipelined connections, kills it with
SIGKILL in the middle, lets its supervisor start it again, and compares what had been acknowledged
with what is there. Run it on the disk that matters: the loss of `everysec` depends on it.

    python benchmarks/embedded_durability.py [--rounds 20] [--fsync no always everysec] [--directory DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singleton_service.background.config import Settings
from singleton_service.background.engine import Engine, open_engine
from singleton_service.background.engine.binary import find_server
from singleton_service.background.engine.locks import LockFile
from singleton_service.background.engine.supervisor import SERVER_LOCK, SUPERVISOR_LOCK, ask
from singleton_service.background.task_queue.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singleton_service.background.task_queue.link import Command

WRITERS = 4
BATCH = 100
VALUE_BYTES = 400
BATCHES_IN_FLIGHT = 4


@dataclass(frozen=True, slots=True)
class Round:
    """What one killed server had promised and what it had."""

    acknowledged: int
    lost: int
    load_s: float
    recovery_s: float


class Writer(threading.Thread):
    """Appends its own numbers to its own list, and counts the answers."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.connection = engine.connection()
        self.acknowledged = 0

    def run(self) -> None:
        """Write as fast as answers come, until the server is gone."""
        padding = "x" * VALUE_BYTES
        numbers = iter(range(1 << 62))
        try:
            self.connection.connect()
            wire = Wire(self.connection, write_timeout_s=5, patience_s=5)
            for _ in range(BATCHES_IN_FLIGHT):
                wire.send(self.batch(numbers, padding))
            while True:
                for _ in range(BATCH):
                    wire.receive()
                    self.acknowledged += 1
                wire.send(self.batch(numbers, padding))
        except OSError:
            return  # the server was killed: that is the round
        finally:
            self.connection.disconnect()

    def batch(self, numbers: Iterator[int], padding: str) -> list[Command]:
        """Return the commands of one batch."""
        return [("RPUSH", self.name, f"{next(numbers)}:{padding}") for _ in range(BATCH)]


def run_round(fsync: Any, parent: Path, load_s: float) -> Round:
    directory = Path(tempfile.mkdtemp(prefix="durability-", dir=parent))
    with closing(open_engine(Settings(redis_url=None, data_dir=directory, embedded_fsync=fsync))) as engine:
        socket_path = str(directory / "server.sock")
        writers = [Writer(engine, f"writer-{number}") for number in range(WRITERS)]
        began_s = time.monotonic()
        for writer in writers:
            writer.start()
        time.sleep(load_s)
        os.kill(int((directory / SERVER_LOCK).read_text()), signal.SIGKILL)
        killed_s = time.monotonic()
        for writer in writers:
            writer.join()
        while ask(socket_path, "PING") != b"+PONG":
            time.sleep(0.005)
        recovered_s = time.monotonic()
        lost = sum(max(writer.acknowledged - int(ask(socket_path, "LLEN", writer.name)[1:]), 0) for writer in writers)
    remove_when_free(directory)
    acknowledged = sum(writer.acknowledged for writer in writers)
    return Round(acknowledged, lost, killed_s - began_s, recovered_s - killed_s)


def one_at_a_time_per_s(fsync: Any, parent: Path, load_s: float = 1.0) -> int:
    """Return how many commands a second one connection gets answered that waits for each."""
    directory = Path(tempfile.mkdtemp(prefix="durability-", dir=parent))
    with closing(open_engine(Settings(redis_url=None, data_dir=directory, embedded_fsync=fsync))) as engine:
        connection = engine.connection()
        connection.connect()
        command = ("RPUSH", "list", "x" * VALUE_BYTES)
        count, end_s = 0, time.monotonic() + load_s
        while time.monotonic() < end_s:
            connection.call(command)
            count += 1
        connection.disconnect()
    remove_when_free(directory)
    return round(count / load_s)


def remove_when_free(directory: Path) -> None:
    supervisor = LockFile(directory / SUPERVISOR_LOCK)
    while not supervisor.try_alone():
        time.sleep(0.01)
    supervisor.close()
    shutil.rmtree(directory)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--fsync", nargs="+", default=["no", "always", "everysec"])
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()

    print(platform.platform(), f"{os.cpu_count()} cores", f"Python {platform.python_version()}", sep=", ")
    print(f"{find_server()}, data in {given.directory}")
    load = f"{WRITERS} writers, each {BATCHES_IN_FLIGHT} x {BATCH} RPUSH of {VALUE_BYTES} bytes in flight"
    print(f"{given.rounds} rounds each: {load}")
    titles = (
        "fsync",
        "acknowledged",
        "lost",
        "bad rounds",
        "worst",
        "RPUSH/s",
        "min",
        "max",
        "one by one/s",
        "back in s",
    )
    print(*(f"{title:>13}" for title in titles))
    for fsync in given.fsync:
        rounds = [run_round(fsync, given.directory, random.uniform(0.5, 2.0)) for _ in range(given.rounds)]
        rates = [round(one.acknowledged / one.load_s) for one in rounds]
        figures = (
            fsync,
            sum(one.acknowledged for one in rounds),
            sum(one.lost for one in rounds),
            sum(one.lost > 0 for one in rounds),
            max(one.lost for one in rounds),
            round(statistics.median(rates)),
            min(rates),
            max(rates),
            one_at_a_time_per_s(fsync, given.directory),
            round(statistics.median(one.recovery_s for one in rounds), 2),
        )
        print(*(f"{figure:>13}" for figure in figures), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
