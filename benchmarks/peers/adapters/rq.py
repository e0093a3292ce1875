"""RQ, with its simple worker."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue

from .handlers import PLAIN
from .surroundings import URL

SETTINGS = """`rq worker --worker-class rq.worker.SimpleWorker` (no fork per job: one job at a time), results kept for
500 s (default), pickle (default), logging of jobs' descriptions off; `--with-scheduler` where tasks are delayed."""
PACKAGES = ("rq", "redis", "hiredis")
COROUTINES = False

queue = Queue("default", connection=Redis.from_url(URL))


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    if delay_s:
        return queue.enqueue_in(timedelta(seconds=delay_s), PLAIN[kind], payload)
    return queue.enqueue(PLAIN[kind], payload)


async def enqueue_many(kind: str, payload: dict[str, Any], number: int) -> list[Any]:
    return list(queue.enqueue_many([Queue.prepare_data(PLAIN[kind], (payload,)) for _ in range(number)]))


async def is_finished(handle: Any) -> bool:
    return bool(handle.get_status() == "finished")


def workers(*, delays: bool) -> list[list[str]]:
    command = [str(Path(sys.executable).with_name("rq")), "worker", "--url", URL, "--quiet"]
    command += ["--worker-class", "rq.worker.SimpleWorker", "--disable-job-desc-logging"]
    return [[*command, *(["--with-scheduler"] if delays else []), "default"]]
