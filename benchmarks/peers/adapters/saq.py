"""SAQ, with Redis."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from saq import Queue

from .handlers import COROUTINES as HANDLERS
from .surroundings import IN_FLIGHT, URL

SETTINGS = """`saq` with `concurrency` 100 (default 10), uvloop, results kept for 600 s (default), timers at their
defaults (what is due is looked for every second). A worker that starts beside a full queue sweeps, and may abort a task
or two that it has just taken: it does it again after 5 s."""
PACKAGES = ("saq", "redis", "hiredis", "uvloop")
COROUTINES = True

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
queue = Queue.from_url(URL)


def _with_context(handler: Any) -> Any:
    async def handle(_context: dict[str, Any], *, payload: dict[str, Any]) -> Any:
        return await handler(payload)

    return handle


settings = {
    "queue": queue,
    "functions": [(name, _with_context(handler)) for name, handler in HANDLERS.items()],
    "concurrency": IN_FLIGHT,
}


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    job = await queue.enqueue(kind, payload=payload, scheduled=time.time() + delay_s if delay_s else 0)
    return job.key


enqueue_many = None


async def is_finished(handle: Any) -> bool:
    job = await queue.job(handle)
    return job is not None and job.status == "complete"


def workers(*, delays: bool) -> list[list[str]]:  # noqa: ARG001 - its worker schedules
    return [[str(Path(sys.executable).with_name("saq")), f"{__name__}.settings", "--quiet"]]
