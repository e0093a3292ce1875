"""A script for cron: it does what there is to do, and ends."""

from __future__ import annotations

import threading
import time
from typing import Any

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import WorkerService


def sleep(payload: dict[str, Any]) -> None:
    while not WorkerService.health_check():
        time.sleep(0.01)
    threading.Thread(target=watch, daemon=True).start()
    print("begin", flush=True)
    time.sleep(payload["seconds"])


def watch() -> None:
    """Say when the workers are not healthy any more: they are being stopped."""
    while WorkerService.health_check():
        time.sleep(0.01)
    print("stopping", flush=True)


if __name__ == "__main__":
    TaskQueueService.register_handler("sleep", sleep)
    WorkerService.run_until_empty(1)
