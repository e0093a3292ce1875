"""arq."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import func

from .handlers import COROUTINES as HANDLERS
from .surroundings import IN_FLIGHT, URL

SETTINGS = """`arq` with `max_jobs` 100 (default 10: it reads as many per poll as it may run, and polls twice a second),
uvloop, results kept for an hour (default), polls every 0.5 s (default), its log
of every job off (`--custom-log-dict`)."""
PACKAGES = ("arq", "redis", "hiredis", "uvloop")
COROUTINES = True

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}
_pool: list[Any] = []


def _with_context(handler: Any) -> Any:
    async def handle(_context: dict[str, Any], payload: dict[str, Any]) -> Any:
        return await handler(payload)

    return handle


class WorkerSettings:
    """What its command line reads."""

    redis_settings = RedisSettings.from_dsn(URL)
    functions = tuple(func(_with_context(handler), name=name) for name, handler in HANDLERS.items())
    max_jobs = IN_FLIGHT


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    if not _pool:
        _pool.append(await create_pool(WorkerSettings.redis_settings))
    return await _pool[0].enqueue_job(kind, payload, _defer_by=delay_s or None)


enqueue_many = None


async def is_finished(handle: Any) -> bool:
    return bool(await handle.status() == "complete")


def workers(*, delays: bool) -> list[list[str]]:  # noqa: ARG001 - its worker polls for what is due
    program = str(Path(sys.executable).with_name("arq"))
    return [[program, "--custom-log-dict", f"{__name__}.LOGGING", f"{__name__}.WorkerSettings"]]
