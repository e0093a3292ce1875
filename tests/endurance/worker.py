"""The worker that endures: threads and the event loop, tasks that complete, are tried again and fail."""

from __future__ import annotations

import logging
from typing import Any

from services.task_queue import PermanentError, TaskQueueService, current_task
from services.worker import WorkerService


def in_a_thread(payload: dict[str, Any]) -> dict[str, Any]:
    """Do next to nothing, and say so; of a thousand one is tried again, and one fails."""
    kind = payload["n"] % 1000
    here = current_task()
    if kind == 1 and here is not None and here.attempt == 1:
        raise RuntimeError("not this time")
    if kind == 2:
        raise PermanentError("never")
    return {"n": payload["n"]}


async def on_the_loop(payload: dict[str, Any]) -> dict[str, Any]:
    """Do the same as a coroutine."""
    return in_a_thread(payload)


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    for handler in (in_a_thread, on_the_loop):
        TaskQueueService.register_handler(handler.__name__, handler, retry_delay_seconds=0)
    WorkerService.run_forever(8)
