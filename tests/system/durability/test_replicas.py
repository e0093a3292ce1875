"""Durability `replica`: what replicas confirmed is there after a failover."""

from __future__ import annotations

import re
from typing import Any

import pytest

import singleton_service
from singleton_service.background.task_queue import (
    DurabilityError,
    DurabilityUnavailableError,
    TaskQueueService,
)
from singleton_service.background.worker import WorkerService
from tests.conftest import wait_until
from tests.faults.proxy import Proxy
from tests.system.durability.servers import (
    Load,
    Servers,
    command,
    enqueue,
    info,
    queued,
    requests,
    stopped,
    until_confirmed,
    until_replicated,
)


def test_every_task_that_replicas_confirmed_is_there_after_a_failover(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, replica = servers.start_pair()
    load = Load("replica")
    wait_until(lambda: len(load.acknowledged) > 300)
    primary.kill()
    load.join()
    command(replica, "REPLICAOF", "NO", "ONE")
    singleton_service.stop()
    monkeypatch.setenv("REDIS_URL", replica.url)
    assert [one for one in load.acknowledged if TaskQueueService.get_task_status(one) is None] == []
    TaskQueueService.register_handler("x", len)
    WorkerService.start_workers(2)
    assert {TaskQueueService.get_result(one, timeout=20) for one in load.acknowledged} == {0}


@pytest.mark.usefixtures("impatient")
def test_a_replica_that_says_nothing_is_an_error_with_the_id_and_the_task_runs(servers: Servers) -> None:
    _, replica = servers.start_pair()
    confirmed = until_confirmed("replica", "first")
    with stopped(replica):
        with pytest.raises(DurabilityError, match=r"0 of 1 replicas had it within 0\.2 s") as caught:
            enqueue("replica")
        (unconfirmed,) = caught.value.task_ids
        assert enqueue("memory") not in {confirmed, unconfirmed}
        TaskQueueService.register_handler("x", len)
        WorkerService.start_workers(1)
        assert TaskQueueService.get_result(unconfirmed, timeout=10) == 0


@pytest.mark.usefixtures("impatient")
def test_a_task_that_is_there_already_is_confirmed_or_not_like_a_new_one(servers: Servers, in_thread: Any) -> None:
    _, replica = servers.start_pair()
    with stopped(replica):
        for _ in range(2):
            # The second adds nothing; on a connection that wrote nothing the server would say yes at once.
            with pytest.raises(DurabilityError):
                enqueue("replica", task_id="invoice-7")
            with pytest.raises(DurabilityError) as caught:
                enqueue("replica", unique_key="invoice-8")

        def from_another_connection() -> None:
            with pytest.raises(DurabilityError) as again:
                enqueue("replica", unique_key="invoice-8")
            assert again.value.task_ids == caught.value.task_ids

        in_thread(from_another_connection).join()
        assert queued() == 2
    assert until_confirmed("replica", "invoice-7") == "default.=invoice-7"
    assert queued() == 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("lost", ["enqueue", "WAIT"])
def test_a_repeat_after_a_lost_answer_is_confirmed_like_the_first_try(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, in_thread: Any, lost: str
) -> None:
    primary, replica = servers.start_pair()
    line = Proxy("127.0.0.1", primary.port).start()
    monkeypatch.setenv("REDIS_URL", line.url)
    try:
        until_confirmed("replica", "first")
        with stopped(replica):
            line.drop_answers(lost, 1.0)

            def calm_down() -> None:
                wait_until(lambda: line.bites[f"dropped {lost}"])
                line.calm()

            calming = in_thread(calm_down)
            with pytest.raises(DurabilityError) as caught:
                enqueue("replica")
            calming.join()
        assert queued() == 2
        assert TaskQueueService.get_task_status(caught.value.task_ids[0]) is not None
    finally:
        singleton_service.stop()
        line.stop()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_forgot_its_scripts_confirms_what_was_written_and_no_sooner(servers: Servers) -> None:
    primary, replica = servers.start_pair()
    enqueue("memory")
    with stopped(replica):
        command(primary, "SCRIPT", "FLUSH")
        with pytest.raises(DurabilityError):
            enqueue("replica")
    assert queued() == 2


@pytest.mark.usefixtures("impatient")
def test_without_replicas_nothing_is_written(servers: Servers) -> None:
    servers.start()
    for attempt in (lambda: enqueue("replica"), lambda: TaskQueueService.enqueue_many(requests(2, "replica"))):
        with pytest.raises(DurabilityUnavailableError, match=re.escape(servers.version)) as caught:
            attempt()
        assert "0 replicas are connected" in str(caught.value)
        assert "TASKS_DURABILITY_REPLICAS" in str(caught.value)
    assert queued() == 0


@pytest.mark.usefixtures("impatient")
def test_a_replica_that_goes_is_one_error_with_the_id_and_refusals_from_then_on(servers: Servers) -> None:
    primary, replica = servers.start_pair()
    until_confirmed("replica", "first")
    replica.kill()
    wait_until(lambda: info(primary, "replication")["connected_slaves"] == 0)
    with pytest.raises(DurabilityError):
        enqueue("replica")
    with pytest.raises(DurabilityUnavailableError):
        enqueue("replica")
    assert queued() == 2
    replica.start()
    until_replicated(primary)
    assert until_confirmed("replica", "last")


def test_more_replicas_than_there_are_is_refused(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_DURABILITY_REPLICAS", "2")
    servers.start_pair()
    with pytest.raises(DurabilityUnavailableError, match="1 replicas are connected to it, 2 must have it"):
        enqueue("replica")
