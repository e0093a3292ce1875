"""streaq."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from streaq import TaskStatus, Worker

from .handlers import COROUTINES as HANDLERS
from .surroundings import IN_FLIGHT, URL

SETTINGS = """`streaq run` with `concurrency` 100 (default 16), uvloop (`anyio_kwargs`), results kept for 5 minutes
(default), prefetch as many as run (default), its log of every
task off (`silent`)."""
PACKAGES = ("streaq", "coredis", "uvloop")
COROUTINES = True

worker = Worker(redis_url=URL, concurrency=IN_FLIGHT, anyio_kwargs={"use_uvloop": True})
TASKS = {name: worker.task(handler, name=name, silent=True) for name, handler in HANDLERS.items()}
_opened = AsyncExitStack()
_open: list[bool] = []


async def _connect() -> None:
    if not _open:
        _open.append(True)
        await _opened.enter_async_context(worker)


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    await _connect()
    task = TASKS[kind].enqueue(payload)
    return await (task.start(delay=timedelta(seconds=delay_s)) if delay_s else task)


async def enqueue_many(kind: str, payload: dict[str, Any], number: int) -> list[Any]:
    await _connect()
    tasks = [TASKS[kind].enqueue(payload) for _ in range(number)]
    await worker.enqueue_many(tasks)
    return tasks


async def is_finished(handle: Any) -> bool:
    return bool(await handle.status() == TaskStatus.DONE)


def workers(*, delays: bool) -> list[list[str]]:  # noqa: ARG001 - its worker schedules
    return [[str(Path(sys.executable).with_name("streaq")), "run", f"{__name__}:worker"]]
