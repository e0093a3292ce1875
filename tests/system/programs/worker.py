"""A worker process as a user writes one. Each handler leaves a line in a log, so that every run can be counted."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import WorkerService

LOG = os.environ.get("TEST_LOG", os.devnull)


def note(word: str, payload: dict[str, Any]) -> None:
    with open(LOG, "ab", buffering=0) as log:  # noqa: PTH123 - one write, one line, whoever else writes
        log.write(f"{word} {payload.get('n')} {os.getpid()}\n".encode())


def mark(payload: dict[str, Any]) -> Any:
    note("mark", payload)
    return payload.get("n")


def sleep(payload: dict[str, Any]) -> Any:
    note("begin", payload)
    time.sleep(payload["seconds"])
    note("end", payload)
    return payload.get("n")


def spin(payload: dict[str, Any]) -> Any:
    """Hold the interpreter with pure Python for a while."""
    note("begin", payload)
    ends_at = time.monotonic() + payload["seconds"]
    while time.monotonic() < ends_at:
        sum(range(10_000))
    note("end", payload)
    return payload.get("n")


def hog(payload: dict[str, Any]) -> Any:
    """Hold the interpreter's lock in native code for a while, in the first run only."""
    is_first = f"begin {payload['n']} " not in Path(LOG).read_text() if Path(LOG).exists() else True
    note("begin", payload)
    if is_first:
        ctypes.PyDLL(None).sleep(payload["seconds"])  # PyDLL, unlike CDLL, keeps the lock
    note("end", payload)
    return os.getpid()


def deaf(payload: dict[str, Any]) -> Any:
    """Hold the interpreter's lock in native code, deaf to signals, for ever, in the first run only."""
    is_first = f"begin {payload['n']} " not in Path(LOG).read_text() if Path(LOG).exists() else True
    note("begin", payload)
    if is_first:
        sum(range(1 << 62))
    note("end", payload)
    return os.getpid()


def sleep_once(payload: dict[str, Any]) -> Any:
    """Sleep in the first run only."""
    is_first = f"begin {payload['n']} " not in Path(LOG).read_text() if Path(LOG).exists() else True
    note("begin", payload)
    if is_first:
        time.sleep(payload["seconds"])
    note("end", payload)
    return os.getpid()


def tidy(payload: dict[str, Any]) -> None:
    """Wait in Python, and clean up for a while however that ends."""
    note("begin", payload)
    try:
        while True:
            time.sleep(0.01)
    finally:
        time.sleep(0.1)
        note("tidied", payload)


async def tidy_async(payload: dict[str, Any]) -> None:
    """Do the same as a coroutine."""
    note("begin", payload)
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.1)
        note("tidied", payload)


def terminate(payload: dict[str, Any]) -> Any:
    """Send TERM to this process as soon as it holds so many tasks, and sleep."""
    note("begin", payload)
    ends_at = time.monotonic() + 10
    while (held := TaskQueueService.get_queue_stats()["running_tasks"]) < payload["held"]:
        if time.monotonic() > ends_at:
            raise TimeoutError(f"it holds {held} tasks only")
    note("held", {"n": held})
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(payload["seconds"])
    note("end", payload)
    return held


def crash(payload: dict[str, Any]) -> Any:
    note("crash", payload)
    os.kill(os.getpid(), signal.SIGKILL)


for handler in (mark, sleep, sleep_once, spin, hog, tidy, tidy_async, terminate, crash):
    TaskQueueService.register_handler(handler.__name__, handler, retry_delay_seconds=0)

for handler in (sleep, sleep_once, tidy, deaf):
    TaskQueueService.register_handler(f"{handler.__name__}_apart", handler, execution="process", retry_delay_seconds=0)
TaskQueueService.register_handler("tidy_process", tidy, execution="process", retry_delay_seconds=0)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    timeout = float(sys.argv[2]) if len(sys.argv) > 2 else 30
    print("cut off", WorkerService.run_forever(threads, timeout=timeout), flush=True)
