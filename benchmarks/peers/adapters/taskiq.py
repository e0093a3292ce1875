"""taskiq, with its Redis list or stream as the way."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from taskiq import TaskiqScheduler
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import ListQueueBroker, ListRedisScheduleSource, RedisAsyncResultBackend, RedisStreamBroker

from .handlers import COROUTINES as HANDLERS
from .surroundings import IN_FLIGHT, URL, WAY

SETTINGS = """`taskiq worker --workers 1 --max-async-tasks 100`, `ListQueueBroker` or `RedisStreamBroker`,
`RedisAsyncResultBackend`, `ORJSONSerializer` for both (its faster JSON), uvloop (its own choice where installed),
`socket_timeout=None` (or its idle list worker is cut off every 5 s); where tasks are delayed,
`taskiq scheduler --update-interval 1` with `ListRedisScheduleSource`: it looks every second, instead of every
minute."""
PACKAGES = ("taskiq", "taskiq-redis", "redis", "hiredis", "uvloop", "orjson")
COROUTINES = True

_broker_class = RedisStreamBroker if WAY == "stream" else ListQueueBroker
_results = RedisAsyncResultBackend(URL, serializer=ORJSONSerializer())
broker = _broker_class(URL, socket_timeout=None).with_result_backend(_results).with_serializer(ORJSONSerializer())
source = ListRedisScheduleSource(URL)
scheduler = TaskiqScheduler(broker, [source])
TASKS = {name: broker.register_task(handler, task_name=name) for name, handler in HANDLERS.items()}
_started: list[bool] = []


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    if not _started:
        _started.append(True)
        await broker.startup()
        await source.startup()
    if delay_s:
        return await TASKS[kind].schedule_by_time(source, datetime.now(UTC) + timedelta(seconds=delay_s), payload)
    return await TASKS[kind].kiq(payload)


enqueue_many = None


async def is_finished(handle: Any) -> bool:
    return bool(await handle.is_ready())


def workers(*, delays: bool) -> list[list[str]]:
    program = str(Path(sys.executable).with_name("taskiq"))
    worker = [program, "worker", f"{__name__}:broker", "--workers", "1", "--max-async-tasks", str(IN_FLIGHT)]
    commands = [[*worker, "--log-level", "ERROR"]]
    if delays:
        commands.append(
            [program, "scheduler", f"{__name__}:scheduler", "--update-interval", "1", "--log-level", "ERROR"]
        )
    return commands
