"""One worker process does a million small tasks: does it hold more at the end than after the first fifty thousand?

    python -m tests.endurance [--tasks 1000000] [--settled 50000]

Looks at the worker from outside: resident memory, threads, file descriptors; and at the server: which keys there are.
Ends with an error when memory has grown by more than a tenth, or anything else at all.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from services.task_queue import TaskQueueService, TaskRequest
from singleton_service import stop

MOST_GROWN = 1.10
CHUNK, MOST_WAITING = 5_000, 20_000
PATIENCE_S = 60.0
# What is there for a moment has not grown.
GONE_S = 5.0
_VARYING = re.compile(r"(:body:|:owned:).*")


@dataclass(frozen=True, slots=True)
class Look:
    """What a worker holds at a moment when it has nothing to do. Memory in bytes."""

    resident: int
    threads: int
    descriptors: int
    keys: frozenset[str]

    @classmethod
    def at(cls, process: int, server: redis.Redis) -> Look:
        """Take a look."""
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        (threads,) = re.findall(r"^Threads:\s+(\d+)", status, re.MULTILINE)
        keys = (_VARYING.sub(r"\1*", key.decode()) for key in server.scan_iter(count=1000))
        return cls(
            int(kib) * 1024, int(threads), sum(1 for _ in Path(f"/proc/{process}/fd").iterdir()), frozenset(keys)
        )

    def __str__(self) -> str:
        return (
            f"{self.resident / 1e6:7.1f} MB  {self.threads:3} threads  {self.descriptors:3} descriptors  "
            f"{len(self.keys):3} keys"
        )


def endure(worker: int, tasks: int, settled: int) -> tuple[Look, Look]:
    """Have a worker do so many tasks; return what it held after the first of them, and at the end."""
    server = redis.Redis.from_url(TaskQueueService.server_url())
    names = ("in_a_thread", "on_the_loop")
    first = None
    for begin in range(0, tasks, CHUNK):
        numbers = range(begin, min(begin + CHUNK, tasks))
        TaskQueueService.enqueue_many(TaskRequest(names[n % 7 == 0], {"n": n}) for n in numbers)
        is_time_to_look = first is None and numbers.stop >= settled
        _wait_for(numbers.stop if is_time_to_look else numbers.stop - MOST_WAITING)
        if is_time_to_look:
            first = Look.at(worker, server)
            print(f"{numbers.stop:>12,} tasks  {first}", flush=True)
    _wait_for(tasks)
    assert first is not None, "it settles after the end"
    last, ends_at = Look.at(worker, server), time.monotonic() + GONE_S
    while grown(first, last) and time.monotonic() < ends_at:
        time.sleep(0.1)
        last = Look.at(worker, server)
    print(f"{tasks:>12,} tasks  {last}", flush=True)
    return first, last


def _wait_for(ended: int) -> None:
    """Wait until so many have ended, as long as there is progress."""
    seen, ends_at = -1, time.monotonic() + PATIENCE_S
    while True:
        counts = TaskQueueService.get_queue_stats()
        now = counts["tasks_processed"] + counts["failed_tasks"]
        if now >= ended and not counts["running_tasks"]:
            return
        if now != seen:
            seen, ends_at = now, time.monotonic() + PATIENCE_S
        if time.monotonic() > ends_at:
            raise TimeoutError(f"no task ended for {PATIENCE_S:g} s: {counts}")
        time.sleep(0.01)


def grown(first: Look, last: Look) -> list[str]:
    """Say what has grown beyond bounds."""
    found = []
    if last.resident > first.resident * MOST_GROWN:
        found.append(f"memory has grown to {last.resident / first.resident:.2f} times, at most {MOST_GROWN}")
    if last.threads > first.threads:
        found.append(f"{first.threads} threads became {last.threads}")
    if last.descriptors > first.descriptors:
        found.append(f"{first.descriptors} descriptors became {last.descriptors}")
    if last.keys - first.keys:
        found.append(f"new keys: {sorted(last.keys - first.keys)}")
    return found


def main() -> int:
    """Endure, and return how many things have grown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--settled", type=int, default=50_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="endure-") as directory:
        os.environ |= {
            "TASKS_DATA_DIR": directory,
            "TASKS_MAX_RESULTS": "1000",
        }
        os.environ.pop("REDIS_URL", None)
        worker = subprocess.Popen([sys.executable, "-m", "tests.endurance.worker"], start_new_session=True)
        try:
            began = time.monotonic()
            found = grown(*endure(worker.pid, asked.tasks, asked.settled))
            print(f"{asked.tasks / (time.monotonic() - began):,.0f} tasks a second", *found, sep="\n", flush=True)
            worker.send_signal(signal.SIGTERM)
            if worker.wait(PATIENCE_S) != 0:
                found.append(f"the worker ended with {worker.returncode}")
        finally:
            worker.kill()
            worker.wait()
            stop()
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
