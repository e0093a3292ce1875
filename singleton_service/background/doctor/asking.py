"""Ask the server and the machine for what the checks look at. Changes nothing; an embedded server may be started."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from singleton_service.background.engine import EngineError
from singleton_service.background.engine.private_dir import SOCKET
from singleton_service.background.engine.supervisor import ask
from singleton_service.background.scheduler.scripts import ScheduleKeys
from singleton_service.background.task_queue import (
    DurabilityUnavailableError,
    QueueUnavailableError,
    TaskQueueError,
    TaskStatus,
    listing,
)
from singleton_service.background.task_queue.client import connect
from singleton_service.background.worker.notes import read_notes

from .facts import DirectoryFacts, Facts, QueueFacts, ScheduleFacts, ServerFacts, TaskFacts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from singleton_service.background.config import PlainSettings
    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.link import Command

_MOST_TASKS = 300
_MOST_REASONS = 300
_MOST_NEIGHBOURS = 100
_MOST_SCHEDULES = 10
_CONFIG = ("maxmemory-policy", "appendonly", "appendfsync", "save")


def gather(settings: PlainSettings) -> Facts:
    """Ask for everything. What is not there to be asked is part of the answer, never an error."""
    directory = None if settings.redis_url else look_at_directory(settings)
    try:
        client = connect(settings)
    except EngineError as error:
        return Facts(settings, directory, unreachable=(f"{error.what}: {error.where}", error.fix))
    try:
        facts = Facts(settings, directory, ask_server(client))
        return _with_queues(facts, client)
    except QueueUnavailableError as error:
        what = f"{error.url} is not available: {error.reason}"
        return Facts(settings, directory, unreachable=(what, error.advice))
    finally:
        client.close()


def _with_queues(facts: Facts, client: QueueClient) -> Facts:
    try:
        queues = tuple(ask_queue(client, name) for name in client.queues())
        return replace(
            facts,
            queues=queues,
            tasks=_ask_tasks(client, [queue.name for queue in queues]),
            schedules=_ask_schedules(client),
            troubles=read_notes(client, sorted({worker for queue in queues for worker in queue.workers})),
        )
    except QueueUnavailableError:
        raise
    except TaskQueueError as error:
        return replace(facts, refused=str(error))


def ask_server(client: QueueClient) -> ServerFacts:
    """Ask a server about itself."""
    client.read([(b"PING",)])  # connected: what follows takes the time of an answer alone
    asked_at = time.time()
    ((seconds, micros),) = client.read([(b"TIME",)])
    answered_at = time.time()
    (info,) = client.read([(b"INFO",)])
    return ServerFacts(
        url=client.engine.display_url,
        is_embedded=client.engine.is_embedded,
        info=_sections(info.decode(errors="replace")),
        config=_config(client),
        ahead_s=int(seconds) + int(micros) / 1e6 - (asked_at + answered_at) / 2,
        ahead_within_s=(answered_at - asked_at) / 2,
        undurable=_undurable(client),
    )


def _sections(info: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.splitlines() if ":" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _config(client: QueueClient) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        # One by one: before Redis 7 it takes one name.
        for reply in client.read([(b"CONFIG", b"GET", name) for name in _CONFIG]):
            found.update({reply[n].decode(): reply[n + 1].decode() for n in range(0, len(reply), 2)})
    except QueueUnavailableError:
        raise
    except TaskQueueError:
        return {}  # as many hosted servers have it
    return found


def _undurable(client: QueueClient) -> str:
    durability = client.settings.durability
    if durability == "memory":
        return ""
    try:
        client.check_durability([durability])
    except DurabilityUnavailableError as error:
        return str(error)
    return ""


def ask_queue(client: QueueClient, name: str) -> QueueFacts:
    """Ask what lies in a queue, in constant time."""
    protocol = client.protocol(name)
    look: list[Command] = [
        (b"TIME",),
        (b"HGET", protocol.keys.key("settings"), b"protocol"),
        protocol.stats(),
        (b"ZRANGE", protocol.keys.key("workers"), 0, -1, b"WITHSCORES"),
        (b"HRANDFIELD", protocol.keys.key("reasons"), _MOST_REASONS, b"WITHVALUES"),
    ]
    (seconds, micros), number, counts, workers, reasons = client.read(look)
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    left_s = {workers[n].decode(): (float(workers[n + 1]) - now_ms) / 1000 for n in range(0, len(workers), 2)}
    dead = [worker for worker, left in left_s.items() if left < 0]
    held = client.read([(b"HLEN", protocol.keys.key(f"owned:{worker}")) for worker in dead]) if dead else []
    return QueueFacts(
        name=name,
        protocol=int(number or 0),
        counts=protocol.counted(counts),
        left_s=left_s,
        held_by_dead=dict(zip(dead, map(int, held), strict=True)),
        reasons=_reasons(reasons),
    )


def _reasons(flat: Sequence[Any]) -> Counter[str]:
    # Since when, how often it was looked at, and why: hold.lua.
    return Counter(flat[n].decode().split("|", 2)[-1] for n in range(1, len(flat), 2))


def _ask_tasks(client: QueueClient, queues: list[str]) -> TaskFacts:
    ((seconds, _),) = client.read([(b"TIME",)])
    failed, running = (_some(client, queues, status) for status in (TaskStatus.FAILED, TaskStatus.RUNNING))
    return TaskFacts(failed, running, float(seconds))


def _ask_schedules(client: QueueClient) -> ScheduleFacts:
    key = ScheduleKeys(client.settings.namespace).key("instants")
    look: list[Command] = [(b"TIME",), (b"ZCARD", key), (b"ZRANGE", key, 0, _MOST_SCHEDULES - 1, b"WITHSCORES")]
    (seconds, _), number, first = client.read(look)
    waits_s = {first[n].decode(): int(seconds) - float(first[n + 1]) / 1000 for n in range(0, len(first), 2)}
    return ScheduleFacts(number, {schedule: late_s for schedule, late_s in waits_s.items() if late_s > 0})


def _some(client: QueueClient, queues: list[str], status: TaskStatus) -> list[Any]:
    wanted = listing.wanted_tasks(status, None, None)
    return listing.list_tasks(client, queues, wanted, _MOST_TASKS, None).tasks


def look_at_directory(settings: PlainSettings) -> DirectoryFacts | None:
    """Look at the directory of an embedded server; None when there is no telling which that is."""
    try:
        path = settings.resolved_data_dir()
    except RuntimeError:
        return None
    there = next(each for each in (path, *path.parents) if each.exists())
    status, disk = there.stat(), os.statvfs(there)
    is_ours = settings.data_dir is None
    return DirectoryFacts(
        path=path,
        exists=there == path,
        owner=status.st_uid,
        user=os.geteuid(),
        mode=stat.S_IMODE(status.st_mode),
        is_writable=os.access(there, os.W_OK | os.X_OK),
        free_bytes=disk.f_bavail * disk.f_frsize,
        neighbours=_neighbours(path) if is_ours else (),
    )


def _neighbours(path: Path) -> tuple[str, ...]:
    try:
        others = sorted(other for other in path.parent.iterdir() if other != path)[:_MOST_NEIGHBOURS]
    except OSError:
        return ()  # there is nothing else
    # Those with a long path have their socket elsewhere, and are passed over.
    return tuple(str(other) for other in others if ask(str(other / SOCKET), "PING"))
