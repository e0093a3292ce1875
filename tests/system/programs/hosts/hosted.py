"""The task that runs when its host is told to stop; each host imports this."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from singleton_service.background.task_queue import TaskQueueService


def say(word: str, value: object) -> None:
    """Leave a line in the log, in the form of all handlers of these tests."""
    with open(os.environ["TEST_LOG"], "ab", buffering=0) as log:  # noqa: PTH123 - one write, one line
        log.write(f"{word} {value} {os.getpid()}\n".encode())


def hosted(payload: dict[str, Any]) -> None:
    """Say whose the signal handlers are, and run until interrupted."""
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        say(number.name, getattr(handler, "__qualname__", None) or getattr(handler, "name", "unknown"))
    say("begin", payload["n"])
    try:
        while True:
            time.sleep(0.01)
    finally:
        say("tidied", payload["n"])


TaskQueueService.register_handler("hosted", hosted)
