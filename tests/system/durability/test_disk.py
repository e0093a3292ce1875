"""Durability `disk`: what was forced to disk is there after the server's death; who can't tell is not asked."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue import (
    DurabilityError,
    DurabilityUnavailableError,
    QueueUnavailableError,
    TaskQueueService,
)
from tests.conftest import wait_until
from tests.system.durability.servers import (
    WITH_FILE,
    Load,
    Servers,
    calls,
    command,
    enqueue,
    queued,
    requests,
    until_confirmed,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_disk_is_refused_where_nothing_is_written_to_disk(servers: Servers) -> None:
    servers.start()
    with pytest.raises(DurabilityUnavailableError, match=rf"{re.escape(servers.version)}.*appendonly is off"):
        enqueue("disk")
    assert queued() == 0


@pytest.mark.parametrize("fsync", ["no", "everysec"])
def test_disk_is_refused_by_a_server_that_can_not_tell(servers: Servers, fsync: str) -> None:
    servers.start(*WITH_FILE, fsync, *servers.hide_waitaof)
    with pytest.raises(DurabilityUnavailableError, match=rf"{re.escape(servers.version)}.*WAITAOF") as caught:
        enqueue("disk")
    assert f"appendfsync is {fsync}" in str(caught.value)
    assert queued() == 0


def test_disk_is_refused_where_the_kernel_chooses_the_time(servers: Servers) -> None:
    servers.start(*WITH_FILE, "no")
    with pytest.raises(DurabilityUnavailableError, match="appendfsync is no"):
        enqueue("disk")
    assert queued() == 0


@pytest.mark.parametrize("hidden", [False, True], ids=["", "without WAITAOF"])
def test_what_is_on_disk_outlives_the_server(servers: Servers, hidden: bool) -> None:  # noqa: FBT001 - a parameter
    server = servers.start(*WITH_FILE, "always", *(servers.hide_waitaof if hidden else ()))
    load = Load("disk")
    wait_until(lambda: len(load.acknowledged) > 300)
    server.kill()
    load.join()
    server.start()
    assert [one for one in load.acknowledged if TaskQueueService.get_task_status(one) is None] == []


def test_a_server_that_forces_each_second_confirms_when_it_has(servers: Servers) -> None:
    server = servers.start(*WITH_FILE, "everysec")
    if not servers.knows_waitaof:
        with pytest.raises(DurabilityUnavailableError):
            enqueue("disk")
        return
    enqueue("disk")
    before = calls(server, "waitaof")
    tasks = TaskQueueService.enqueue_many(requests(5, "disk"))
    assert calls(server, "waitaof") == before + 1
    server.kill()
    server.start()
    assert all(TaskQueueService.get_task_status(one) for one in tasks)


@pytest.mark.usefixtures("impatient")
def test_no_enqueue_returns_while_nothing_is_forced_to_disk(servers: Servers) -> None:
    server = servers.start(*WITH_FILE, "always")
    until_confirmed("disk", "first")
    if not servers.knows_waitaof:
        return
    # Behind our back: the server was asked when the connection was made.
    command(server, "CONFIG", "SET", "appendfsync", "no")
    with pytest.raises(DurabilityError, match="not forced to disk within"):
        enqueue("disk")
    with pytest.raises(DurabilityUnavailableError, match="appendfsync is no"):
        enqueue("disk")
    command(server, "CONFIG", "SET", "appendfsync", "always")
    until_confirmed("disk", "second")
    command(server, "CONFIG", "SET", "appendonly", "no")
    with pytest.raises(DurabilityError, match="appendonly is off"):
        enqueue("disk")
    with pytest.raises(DurabilityUnavailableError, match="appendonly is off"):
        enqueue("disk")
    assert queued() == 4


def test_a_server_that_hides_its_settings_is_asked_to_confirm(servers: Servers) -> None:
    servers.start(*WITH_FILE, "always", "--rename-command", "CONFIG", "")
    if servers.knows_waitaof:
        assert enqueue("disk")
    else:
        with pytest.raises(DurabilityUnavailableError, match="appendfsync is not told"):
            enqueue("disk")


def test_the_embedded_server_refuses_disk_as_it_is(embedded: Path) -> None:
    with pytest.raises(DurabilityUnavailableError, match="TASKS_EMBEDDED_FSYNC=always"):
        enqueue("disk")
    with pytest.raises(DurabilityUnavailableError, match="embedded server has none"):
        enqueue("replica")
    assert queued() == 0


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_what_the_embedded_server_confirmed_outlives_it(
    embedded: Path, monkeypatch: pytest.MonkeyPatch, fsync: str
) -> None:
    monkeypatch.setenv("TASKS_EMBEDDED_FSYNC", fsync)
    for _ in range(3):
        tasks = [enqueue("disk") for _ in range(3)]
        os.kill(int((embedded / "server.lock").read_text()), signal.SIGKILL)
        assert {_status_soon(task) for task in tasks} == {"pending"}


def _status_soon(task_id: str) -> str:
    def status() -> str | None:
        with suppress(QueueUnavailableError):
            task = TaskQueueService.get_task_status(task_id)
            assert task is not None, "confirmed, and lost"
            return task.status
        return None

    found: str = wait_until(status)
    return found


def test_the_setting_disk_has_the_embedded_server_force_its_file(
    embedded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_DURABILITY", "disk")
    assert enqueue()
    assert (embedded / "appendfsync").read_text() == "always"
