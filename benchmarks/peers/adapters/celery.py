"""Celery, with Redis as broker and as result backend; its way is the pool of its worker: threads or prefork."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery

from .handlers import PLAIN
from .surroundings import IN_FLIGHT, URL, WAY

SETTINGS = """`worker --pool threads --concurrency 8` or `--pool prefork --concurrency` as many as there are cores;
`--without-gossip --without-mingle --without-heartbeat` (less chatter), JSON, results kept in Redis for a day, prefetch
multiplier 128 (default 4; its guide to optimizing says 64 or 128 for many short tasks), acknowledged early
(default)."""
PACKAGES = ("celery", "kombu", "redis", "hiredis")
COROUTINES = False

app = Celery("bench", broker=URL, backend=URL)
app.conf.worker_prefetch_multiplier = 128
TASKS = {name: app.task(name=name)(handler) for name, handler in PLAIN.items()}


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    return TASKS[kind].apply_async((payload,), countdown=delay_s or None)


enqueue_many = None


async def is_finished(handle: Any) -> bool:
    return bool(handle.ready())


def workers(*, delays: bool) -> list[list[str]]:  # noqa: ARG001 - its worker holds what is delayed
    pool, at_once = ("prefork", os.cpu_count() or 1) if WAY == "prefork" else ("threads", IN_FLIGHT)
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        f"{__name__}:app",
        "worker",
        "--hostname",
        f"{os.urandom(4).hex()}@h",
    ]
    return [[*command, "--pool", pool, "--concurrency", str(at_once), *quiet]]
