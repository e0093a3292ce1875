"""A script that has done its part while a task still runs: it ends, and so does the task."""

from __future__ import annotations

import sys
import time
from typing import Any

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import WorkerService


def sleep(payload: dict[str, Any]) -> None:
    print("begin", flush=True)
    time.sleep(payload["seconds"])
    print("end", flush=True)


if __name__ == "__main__":
    TaskQueueService.register_handler("sleep", sleep)
    WorkerService.start_workers(1)
    TaskQueueService.enqueue_task("sleep", {"seconds": float(sys.argv[1])})
    while WorkerService.get_worker_stats()["busy_workers"] == 0:
        time.sleep(0.01)
