"""This project. Its ways: handlers in threads, as coroutines, or in processes of their own; or with its own server."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from .handlers import COROUTINES as COROUTINE_HANDLERS
from .handlers import PAYLOAD, PLAIN
from .surroundings import IN_FLIGHT, URL, WAY

COROUTINES = WAY == "coroutines"
os.environ.update(TASKS_ASYNC_CONCURRENCY=str(IN_FLIGHT), TASKS_PROCESSES="2", TASKS_DATA_DIR="data")
if WAY != "embedded":
    os.environ["REDIS_URL"] = URL

from services.task_queue import TaskQueueService, TaskRequest, TaskStatus  # noqa: E402 - what it reads is set above
from services.worker import WorkerService  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = """`WorkerService.run_forever(8)`; with `async def` handlers `TASKS_ASYNC_CONCURRENCY=100` (default) and
uvloop; with `execution="process"` `TASKS_PROCESSES=2`; leases, fences, statuses and results as always, results kept
for a day (default)."""
PACKAGES = ("singleton-service", "redis", "hiredis", "uvloop")


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    if COROUTINES:
        return await TaskQueueService.aenqueue_task(kind, payload, delay_s)
    return TaskQueueService.enqueue_task(kind, payload, delay_s)


async def enqueue_many(kind: str, payload: dict[str, Any], number: int) -> Sequence[Any]:
    requests = [TaskRequest(kind, payload) for _ in range(number)]
    if COROUTINES:
        return await TaskQueueService.aenqueue_many(requests)
    return TaskQueueService.enqueue_many(requests)


async def is_finished(handle: Any) -> bool:
    if COROUTINES:
        task = await TaskQueueService.aget_task_status(handle)
    else:
        task = TaskQueueService.get_task_status(handle)
    return task is not None and task.status is TaskStatus.COMPLETED


def workers(*, delays: bool) -> list[list[str]]:  # noqa: ARG001 - the server knows what is due
    return [[sys.executable, "-m", __name__]]


def work() -> None:
    """Be a worker."""
    policy: dict[str, Any] = {"execution": "process"} if WAY == "processes" else {}
    for name, handler in (COROUTINE_HANDLERS if COROUTINES else PLAIN).items():
        TaskQueueService.register_handler(name, handler, **policy)
    if WAY == "embedded":  # nobody else can enqueue where no server is yet
        TaskQueueService.enqueue_task("note", PAYLOAD | {"subject": "waiting"})
    WorkerService.run_forever(8 if WAY == "coroutines" else IN_FLIGHT, standalone=True)


if __name__ == "__main__":
    work()
