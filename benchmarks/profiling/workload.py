"""One kind of work in a process of its own, with what it cost: to be run as it is, and again under a profiler.

    REDIS_URL=... python -m benchmarks.profiling.workload enqueue 20000

It prints one JSON object: processor time of this process and of the server, and what the server counted meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import redis

from services.task_queue import TaskQueueService, TaskRequest
from services.worker import WorkerService
from singleton_service import stop
from singleton_service.background.task_queue.scripts import Scripts, load_scripts

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD = {"recipient": "user@example.com", "subject": "Welcome!", "body": "x" * 64}
BULK = 1000
THREADS = 8


def send_email(_payload: dict[str, Any]) -> dict[str, str]:
    return {"status": "sent"}


async def send_email_async(payload: dict[str, Any]) -> dict[str, str]:
    return send_email(payload)


def enqueue(number: int) -> None:
    for _ in range(number):
        TaskQueueService.enqueue_task("send_email", PAYLOAD)


def enqueue_bulk(number: int) -> None:
    for _ in range(0, number, BULK):
        TaskQueueService.enqueue_many([TaskRequest("send_email", PAYLOAD) for _ in range(BULK)])


def drain(_number: int) -> None:
    WorkerService.run_until_empty(THREADS)


WORK: dict[str, Callable[[int], None]] = {
    "enqueue": enqueue,
    "enqueue_bulk": enqueue_bulk,
    "drain": drain,
    "drain_async": drain,
}


def measured(work: Callable[[int], None], number: int) -> None:
    """Do it. The profile of the main thread is what lies below this function."""
    work(number)


def main() -> None:
    kind, number = sys.argv[1], int(sys.argv[2])
    TaskQueueService.register_handler("send_email", send_email_async if kind == "drain_async" else send_email)
    enqueue(10)
    WorkerService.run_until_empty(THREADS)  # scripts loaded, everything imported
    if kind.startswith("drain"):
        enqueue_bulk(number)
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as server:
        server.config_resetstat()
        server.slowlog_reset()
        server_s, began_s = _server_seconds(server), time.process_time()
        measured(WORK[kind], number)
        cpu_s, server_s = time.process_time() - began_s, _server_seconds(server) - server_s
        answer = {
            "cpu_us": cpu_s / number * 1e6,
            "server_us": server_s / number * 1e6,
            "commands": _commands(server, number),
            "scripts_us": _scripts(server, number),
        }
    stop()
    print(json.dumps(answer))


def _server_seconds(server: redis.Redis) -> float:
    said: dict[str, Any] = server.info("cpu")
    return float(said["used_cpu_user"]) + float(said["used_cpu_sys"])


def _commands(server: redis.Redis, number: int) -> dict[str, tuple[float, float]]:
    """Return calls and µs per task of each command, those of scripts included."""
    said: dict[str, Any] = server.info("commandstats")
    return {
        name.removeprefix("cmdstat_"): (stat["calls"] / number, stat["usec"] / number) for name, stat in said.items()
    }


def _scripts(server: redis.Redis, number: int) -> dict[str, float]:
    """Return µs per task of each script, if the server's slow log keeps everything."""
    scripts = load_scripts()
    names = {getattr(scripts, field.name).sha: field.name for field in fields(Scripts)}
    found: dict[str, float] = {}
    log: Any = server.slowlog_get(-1)
    for entry in log:
        verb, _, rest = entry["command"].partition(b" ")
        if verb == b"EVALSHA":
            name = names.get(rest.partition(b" ")[0], "others")
            found[name] = found.get(name, 0.0) + entry["duration"] / number
    return found


if __name__ == "__main__":
    main()
