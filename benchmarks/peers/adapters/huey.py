"""Huey, with its Redis storage."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from huey import RedisHuey

from .handlers import PLAIN
from .surroundings import IN_FLIGHT, URL

SETTINGS = """`huey_consumer --workers 8 --worker-type thread`, `RedisHuey` (blocking pops, the default), results kept
until they are read (default; it keeps no status of a task that has not ended), the scheduler looks every second
(default)."""
PACKAGES = ("huey", "redis", "hiredis")
COROUTINES = False

queue = RedisHuey("bench", url=URL)
TASKS = {name: queue.task(name=name)(handler) for name, handler in PLAIN.items()}


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    task = TASKS[kind]
    return (task.schedule((payload,), delay=delay_s) if delay_s else task(payload)).id


enqueue_many = None


async def is_finished(handle: Any) -> bool:
    return queue.result(handle, preserve=True) is not None


def workers(*, delays: bool) -> list[list[str]]:  # noqa: ARG001 - its worker schedules
    program = str(Path(sys.executable).with_name("huey_consumer"))
    return [[program, f"{__name__}.queue", "--workers", str(IN_FLIGHT), "--worker-type", "thread", "--quiet"]]
