"""The checks, each on records made for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.doctor import (
    Finding,
    Verdict,
    findings_of,
    place_checks,
    queue_checks,
    worker_checks,
    worst,
)
from singleton_service.background.doctor import server_checks as checks
from singleton_service.background.doctor.facts import (
    DirectoryFacts,
    Facts,
    QueueFacts,
    ScheduleFacts,
    ServerFacts,
    TaskFacts,
)
from singleton_service.background.doctor.schedule_checks import check_schedules
from singleton_service.background.doctor.words import several, size, span
from singleton_service.background.task_queue import Task, TaskError, TaskStatus
from singleton_service.background.task_queue.codec import NEWER_VERSION
from singleton_service.background.task_queue.protocol import PROTOCOL_VERSION
from singleton_service.background.worker.notes import BLOCKED, STANDS_STILL

if TYPE_CHECKING:
    from collections.abc import Callable

OK, WARNING, PROBLEM = Verdict
INFO = {
    "redis_version": "7.2.4",
    "valkey_version": "9.1.2",
    "uptime_in_seconds": "300",
    "role": "master",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "used_memory": "1000000",
    "used_memory_rss": "6000000",
    "total_system_memory": "8000000000",
    "connected_clients": "10",
    "maxclients": "10000",
}
COUNTS = dict.fromkeys(
    ("ready", "suspects", "due", "held", "waiting", "running", "finished", "dead", "workers", "paused"), 0
)
HEALTHY = ServerFacts("redis://db:6379/0", is_embedded=False, info=INFO, config={"appendfsync": "always"})


def server(config: dict[str, str] | None = None, *, ahead_s: float = 0.0, **info: str) -> ServerFacts:
    return replace(HEALTHY, info={**INFO, **info}, config=config or HEALTHY.config, ahead_s=ahead_s)


def queue(name: str = "default", *, protocol: int = PROTOCOL_VERSION, **facts: Any) -> QueueFacts:
    counts = {**COUNTS, **{key: value for key, value in facts.items() if key in COUNTS}}
    others = {key: value for key, value in facts.items() if key not in COUNTS}
    return QueueFacts(name, protocol, counts, **{"left_s": {}, "held_by_dead": {}, "reasons": {}, **others})


def task(name: str, error: str = "", **known: Any) -> Task:
    errors = (TaskError(datetime.now(UTC), error, "said so", None),) if error else ()
    status = TaskStatus.FAILED if error else TaskStatus.RUNNING
    return Task("default.1", name, {}, status, datetime.now(UTC), errors=errors, **known)


def directory(**known: Any) -> DirectoryFacts:
    usual = {"exists": True, "owner": 1000, "user": 1000, "mode": 0o700, "is_writable": True, "free_bytes": 50 * 10**9}
    return DirectoryFacts(Path("/data"), **{**usual, **known})


@pytest.mark.parametrize(
    ("check", "facts", "verdict", "said"),
    [
        (checks.check_version, server(), OK, "Valkey 9.1.2, redis://db:6379/0, up 5 min"),
        (checks.check_version, server(redis_version="6.0.16"), PROBLEM, "too old"),
        (checks.check_version, server(role="slave"), PROBLEM, "replica"),
        (checks.check_version, server(cluster_enabled="1"), PROBLEM, "cluster"),
        (checks.check_version, server(loading="1"), WARNING, "loads its data"),
        (checks.check_eviction, server(), OK, "noeviction"),
        (checks.check_eviction, server(maxmemory_policy="allkeys-lru"), WARNING, "would vanish"),
        (checks.check_eviction, server(maxmemory_policy="allkeys-lru", maxmemory="1000"), PROBLEM, "tasks vanish"),
        (checks.check_persistence, server(), OK, "append-only file, appendfsync always"),
        (checks.check_persistence, replace(HEALTHY, config={}), OK, "append-only file"),
        (
            checks.check_persistence,
            server({"appendfsync": "everysec"}, aof_delayed_fsync="3"),
            WARNING,
            "too slow for it",
        ),
        (checks.check_persistence, server({"save": "3600 1"}, aof_enabled="0"), WARNING, "snapshot"),
        (checks.check_persistence, server({"save": ""}, aof_enabled="0"), PROBLEM, "all tasks are lost"),
        (checks.check_persistence, server(aof_last_write_status="err"), PROBLEM, "append-only file could not"),
        (checks.check_persistence, server(rdb_last_bgsave_status="err"), PROBLEM, "snapshot could not"),
        (checks.check_persistence, replace(HEALTHY, undurable="it has none"), PROBLEM, "it has none"),
        (checks.check_clock, server(ahead_s=0.4), OK, "within 0.4 s"),
        (checks.check_clock, replace(HEALTHY, ahead_s=2.4, ahead_within_s=2.0), OK, "within 2.4 s"),
        (checks.check_clock, server(ahead_s=30.0), WARNING, "clock is 30 s behind the server's"),
        (checks.check_clock, server(ahead_s=-7200.0), PROBLEM, "clock is 2 h ahead of the server's"),
        (checks.check_memory, server(), OK, "1.0 MB used, 0% of its machine's memory, 8.0 GB"),
        (checks.check_memory, server(maxmemory="1200000"), WARNING, "83% of its maxmemory, 1.2 MB"),
        (checks.check_memory, server(maxmemory="1010000"), PROBLEM, "enqueues are refused"),
        (checks.check_memory, server(used_memory="200000000", used_memory_rss="400000000"), WARNING, "fragmented"),
        (checks.check_memory, server(used_memory="200000000", used_memory_rss="20000000"), WARNING, "swapped out"),
        (checks.check_connections, server(), OK, "10 connections of 10,000"),
        (checks.check_connections, server(maxclients="11"), WARNING, "10 connections of 11"),
        (queue_checks.check_protocol, [queue()], OK, "1 queue"),
        (queue_checks.check_protocol, [queue(), queue("mail", protocol=99)], PROBLEM, "made mail its own"),
        (queue_checks.check_workers, [], WARNING, "nobody"),
        (queue_checks.check_workers, [queue(left_s={"a:1:x": 3.0, "b:1:x": 4.0})], OK, "2 take tasks"),
        (queue_checks.check_workers, [queue(left_s={"a:1:x": -3.0}, ready=2)], PROBLEM, "default has 2 tasks and no"),
        (
            queue_checks.check_workers,
            [queue(left_s={"a:1:x": 3.0}), queue("mail", due=1)],
            PROBLEM,
            "mail has 1 task and no worker",
        ),
        (queue_checks.check_pauses, [queue()], OK, "no queue is paused"),
        (queue_checks.check_pauses, [queue(paused=1, ready=7)], WARNING, "default is paused, with 7 tasks waiting"),
        (queue_checks.check_held, [queue()], OK, "no task"),
        (
            queue_checks.check_held,
            [queue(reasons={"No handler registered for task: sned": 2}), queue("mail", reasons={"X is away": 1})],
            PROBLEM,
            "no worker knows a handler for 2 tasks 'sned'",
        ),
        (queue_checks.check_held, [queue(reasons={NEWER_VERSION: 2})], PROBLEM, "2 tasks written by a newer version"),
        (queue_checks.check_held, [queue(reasons={"X is away": 2})], WARNING, "2 tasks: X is away"),
        (queue_checks.check_leases, [queue(running=2, left_s={"a:1:x": 3.0})], OK, "2 tasks held"),
        (
            queue_checks.check_leases,
            [queue(left_s={"a:1:x": -30.0}, held_by_dead={"a:1:x": 4})],
            PROBLEM,
            "a:1:x is dead for 30 s with 4 tasks of default",
        ),
        # Others that live hand them on just now.
        (
            queue_checks.check_leases,
            [queue(left_s={"a:1:x": -2.0, "b:1:x": 3.0}, held_by_dead={"a:1:x": 4})],
            OK,
            "by workers that live",
        ),
        (queue_checks.check_failed, TaskFacts([], [], 0.0), OK, "no failed task"),
        (
            queue_checks.check_failed,
            TaskFacts([task("send", "OSError"), task("send", "OSError"), task("buy", "KeyError")], [], 0.0),
            WARNING,
            "2 x send (OSError), 1 x buy (KeyError)",
        ),
        (queue_checks.check_running, TaskFacts([], [task("send")], 0.0), OK, "1 task"),
        (
            queue_checks.check_running,
            TaskFacts(
                [],
                [
                    task("crawl", started_at=datetime.fromtimestamp(0, UTC)),
                    task("limited", started_at=datetime.fromtimestamp(0, UTC), timeout=9000.0),
                    task("young", started_at=datetime.fromtimestamp(7000, UTC)),
                ],
                7200.0,
            ),
            WARNING,
            "without a time limit: 1 x crawl",
        ),
        (check_schedules, ScheduleFacts(2, {"night": 0.5}), OK, "2 schedules, none overdue"),
        (check_schedules, ScheduleFacts(2, {"night": 90.0}), PROBLEM, "night was due 90 s ago"),
        (worker_checks.check_fetching, {}, OK, "no worker stands still"),
        (worker_checks.check_fetching, {"a:1:x": {STANDS_STILL: "it stands"}}, PROBLEM, "a:1:x: it stands"),
        (worker_checks.check_event_loop, {"a:1:x": {STANDS_STILL: "it stands"}}, OK, "no coroutine"),
        (worker_checks.check_event_loop, {"a:1:x": {BLOCKED: "f blocked it"}}, WARNING, "a:1:x: f blocked it"),
        (place_checks.check_directory, directory(), OK, "/data: 50.0 GB free"),
        (place_checks.check_directory, directory(owner=0), PROBLEM, "belongs to user 0, this program runs as user"),
        (place_checks.check_directory, directory(is_writable=False), PROBLEM, "can't be written to by user 1000"),
        (place_checks.check_directory, directory(free_bytes=10**6), PROBLEM, "1.0 MB free; without any"),
        (place_checks.check_directory, directory(free_bytes=5 * 10**8), WARNING, "500.0 MB free"),
        (place_checks.check_directory, directory(mode=0o755), WARNING, "open to other users (mode 0755)"),
        # It is made closed, by the first who needs it.
        (place_checks.check_directory, directory(exists=False, owner=0, mode=0o755), OK, "50.0 GB free"),
    ],
)
def test_a_check_finds_what_it_is_for(check: Callable[[Any], Finding], facts: Any, verdict: Verdict, said: str) -> None:
    finding = check(facts)
    assert finding.verdict is verdict
    assert said in finding.finding
    assert bool(finding.fix) is (verdict is not OK), "whatever is not well has a fix"
    assert "\n" not in finding.finding + finding.fix


def test_what_times_out_is_told_by_its_own_fix() -> None:
    finding = queue_checks.check_failed(TaskFacts([task("send", "TaskTimeoutError")], [], 0.0))
    assert "timeout=" in finding.fix


def test_a_server_of_another_project_is_told_only_where_workers_are_missed() -> None:
    lonely = Facts(Settings(), directory(neighbours=("/shop-1", "/shop-2")), HEALTHY, (queue(ready=1),))
    assert "2 other servers of yours run: /shop-1, /shop-2" in findings_of(lonely)[-1].finding
    busy = replace(lonely, queues=(queue(left_s={"a:1:x": 3.0}),))
    assert "one project" not in {finding.check for finding in findings_of(busy)}


def test_without_a_server_there_is_one_problem_and_what_lies_on_this_machine() -> None:
    found = findings_of(Facts(Settings(), directory(), unreachable=("it is away", "Start it.")))
    assert [(finding.check, finding.verdict) for finding in found] == [("data directory", OK), ("reachable", PROBLEM)]
    assert worst(found) is PROBLEM
    assert worst([]) is OK


def test_a_finding_is_one_line_whatever_a_task_says() -> None:
    finding = queue_checks.check_held([queue(reasons={"X is away:\nTraceback\n  ...": 1})])
    assert finding.finding == "1 task: X is away: Traceback ..."


def test_numbers_are_said_as_people_say_them() -> None:
    assert [size(number) for number in (0, 999, 1000, 1.5e9, 3e12)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "1.5 GB",
        "3.0 TB",
    ]
    assert [span(seconds) for seconds in (0.25, 45, 150, 7200, 200_000)] == ["0.2 s", "45 s", "2 min", "2 h", "2 days"]
    assert several("abcde") == "a, b, c and 2 more"
