"""How often the server is asked to confirm, for which tasks, and for whom not at all."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from services.fastapi import router
from singleton_service.background.task_queue import (
    DurabilityError,
    DurabilityUnavailableError,
    EnqueueError,
    QueueUnavailableError,
    TaskQueueService,
    TaskRequest,
)
from tests.system.durability.servers import (
    WITH_FILE,
    Servers,
    calls,
    command,
    enqueue,
    info,
    queued,
    requests,
    stopped,
)


def test_the_server_is_asked_once_per_connection_and_only_for_those_who_want_to_know(servers: Servers) -> None:
    primary, _ = servers.start_pair()
    command(primary, "CONFIG", "SET", "appendonly", "yes")
    command(primary, "CONFIG", "SET", "appendfsync", "always")

    def asked() -> tuple[int, ...]:
        return tuple(calls(primary, name) for name in ("config|get", "command|info", "wait", "waitaof"))

    enqueue()
    TaskQueueService.enqueue_many(requests(2, "memory"))
    clients = info(primary, "clients")["connected_clients"]
    before = asked()
    for _ in range(5):
        enqueue()
    assert asked() == before
    assert info(primary, "clients")["connected_clients"] == clients

    for durability in ("disk", "replica", "disk", "replica"):
        enqueue(durability)
    spent = [now - then for now, then in zip(asked(), before, strict=True)]
    assert spent == [1, 1, 2, 2 if servers.knows_waitaof else 0]


def test_a_thousand_tasks_are_confirmed_together(servers: Servers) -> None:
    primary, _ = servers.start_pair()
    enqueue("replica")
    before = calls(primary, "wait")
    assert len(set(TaskQueueService.enqueue_many(requests(2500, "replica")))) == 2500
    assert calls(primary, "wait") - before == 3


def test_many_say_which_went_in_and_which_of_those_were_not_confirmed(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Enough for a replica on a busy machine.
    monkeypatch.setenv("TASKS_DURABILITY_TIMEOUT_SECONDS", "1")
    _, replica = servers.start_pair()
    enqueue("replica")
    mixed = [*requests(2, "replica"), *requests(3, "memory")]
    with stopped(replica):
        with pytest.raises(DurabilityError) as all_in:
            TaskQueueService.enqueue_many(mixed)
        assert len(all_in.value.task_ids) == 2
        with pytest.raises(EnqueueError) as in_part:
            TaskQueueService.enqueue_many(requests(2500, "replica"))
    assert isinstance(in_part.value.__cause__, DurabilityError)
    assert len(in_part.value.accepted) == 1000
    assert in_part.value.unconfirmed == in_part.value.accepted
    assert queued() == 1 + 5 + 1000


def test_the_setting_speaks_for_those_who_say_nothing(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_DURABILITY", "replica")
    servers.start()
    for attempt in (enqueue, lambda: TaskQueueService.enqueue_many([TaskRequest("x")])):
        with pytest.raises(DurabilityUnavailableError):
            attempt()
    assert enqueue("memory")


def test_an_unknown_durability_is_refused_before_anything_is_written(servers: Servers) -> None:
    servers.start()
    with pytest.raises(ValueError, match="durability 'paper' is unknown: it is one of 'memory', 'disk', 'replica'"):
        enqueue("paper")
    assert queued() == 0


def test_a_server_that_is_away_is_unavailable_whatever_is_asked_for(servers: Servers) -> None:
    server = servers.start(*WITH_FILE, "always")
    enqueue("disk")
    server.kill()
    with pytest.raises(QueueUnavailableError):
        enqueue("disk")
    server.start()
    assert enqueue("disk")


def test_the_web_answers_503_to_what_is_not_as_safe_as_it_must_be(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_DURABILITY", "replica")
    monkeypatch.setenv("TASKS_DURABILITY_TIMEOUT_SECONDS", "0.2")
    _, replica = servers.start_pair()
    app = FastAPI()
    app.router.routes.extend(router.routes)

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.post("/tasks", json={"name": "x", "payload": {}})

    with stopped(replica):
        answer = asyncio.run(post())
    assert answer.status_code == 503
    (task,) = TaskQueueService.list_tasks().tasks
    assert task.id in answer.json()["detail"]
