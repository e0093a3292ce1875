"""Old and new beside each other, as in the middle of a deployment; a newer version is played by this one."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import (
    ProtocolVersionError,
    TaskQueueService,
    TaskRequest,
    TaskStatus,
    client,
    codec,
    link,
    mould,
    protocol,
)
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Queue = type[TaskQueueService]
NEWER = protocol.PROTOCOL_VERSION + 1


@contextmanager
def newer_bodies() -> Iterator[None]:
    """Be a version that writes and reads bodies which the present one does not know."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "BODY_VERSION", b"7")
        # Beginnings of bodies that were written by the other version are no use.
        patch.setattr(mould, "_moulds", {})
        yield


@contextmanager
def newer_protocol(queue: Queue) -> Iterator[None]:
    """Be a version whose queues older clients must leave alone; it has just been started."""
    here = queue._open_client()
    known = set(here._registered)
    here._registered.clear()
    # Commands that were packed with the older number.
    here._protocols.clear()
    with pytest.MonkeyPatch.context() as patch:
        for module in (client, link, protocol):
            patch.setattr(module, "PROTOCOL_VERSION", NEWER)
        yield
    here._protocols.clear()
    here._registered.clear()
    here._registered.update(known)


def test_a_task_of_a_newer_version_is_held_and_runs_when_a_newer_worker_comes(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    # Not even where a task that nobody knows fails at once.
    monkeypatch.setenv("TASKS_UNKNOWN_TASK_SECONDS", "0")
    queue.register_handler("x", lambda payload: payload["n"])
    with newer_bodies():
        task_id = queue.enqueue_task("x", {"n": 7})
    WorkerService.start_workers(1)
    assert queue.get_result(queue.enqueue_task("x", {"n": 1}), timeout=10) == 1

    def is_held() -> bool:
        task = queue.get_task_status(task_id)
        assert task is not None
        assert task.status is TaskStatus.PENDING
        return task.held_reason == codec.NEWER_VERSION

    until(is_held)
    until(lambda: int(_reason(queue, task_id).split(b"|")[1]) > 1)
    is_held()
    with newer_bodies():
        assert queue.get_result(task_id, timeout=20) == 7


def _reason(queue: Queue, task_id: str) -> bytes:
    """How often it was looked at: `since|looks|why`; nothing for the moment that it is looked at."""
    here = queue._open_client()
    uid = task_id.rpartition(".")[2]
    return here.link.call(b"HGET", here.protocol("default").keys.key("reasons"), uid) or b"0|0|"


def test_a_client_that_runs_already_writes_no_more_to_a_queue_of_a_newer_version(queue: Queue) -> None:
    queue.enqueue_many([TaskRequest("x", {"n": n}) for n in range(3)])
    taken = queue.get_next_task(timeout=5)
    assert taken is not None
    with newer_protocol(queue):
        queue.enqueue_task("x")
    waiting = queue.list_tasks(status=TaskStatus.PENDING).tasks[0].id
    before = queue.get_queue_stats()
    attempts: list[Callable[[], Any]] = [
        lambda: queue.enqueue_task("x"),
        lambda: queue.enqueue_many([TaskRequest("x")]),
        lambda: queue.get_next_task(timeout=0),
        lambda: queue.cancel_task(waiting),
        lambda: queue.retry_task(waiting),
        lambda: queue.delete_task(waiting),
        lambda: queue.purge_queue("default"),
        lambda: queue.pause_queue("default"),
        lambda: queue.set_queue_limits("default", max_running=1),
    ]
    for attempt in attempts:
        with pytest.raises(ProtocolVersionError, match=r"pip install -U singleton-service") as caught:
            attempt()
        assert (caught.value.queue, caught.value.found, caught.value.known) == ("default", NEWER, NEWER - 1)
    assert queue.get_queue_stats() == before
    queue._open_client()._registered.clear()
    assert queue.complete_task(taken), "what it had begun it may still end"
    with newer_protocol(queue):
        assert queue.get_next_task(timeout=0) is not None


def test_a_process_that_comes_now_refuses_to_begin_there(queue: Queue) -> None:
    queue.enqueue_task("x")
    with newer_protocol(queue):
        queue.enqueue_task("x")
    queue._open_client()._registered.clear()
    for attempt in (lambda: queue.enqueue_task("x"), lambda: queue.get_next_task(timeout=0)):
        with pytest.raises(ProtocolVersionError):
            attempt()
    with pytest.raises(ProtocolVersionError):
        WorkerService.start_workers(1)
    assert queue.enqueue_task("x", queue="another")


def test_workers_that_run_already_take_no_more_and_say_so_once(
    queue: Queue, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    queue.register_handler("x", lambda payload: 1)
    WorkerService.start_workers(2)
    assert queue.get_result(queue.enqueue_task("x"), timeout=10) == 1
    with caplog.at_level(logging.ERROR, logger="singleton_service"):
        here = queue._open_client()
        here.link.call(b"HSET", here.protocol("default").keys.key("settings"), b"protocol", NEWER)
        with newer_protocol(queue):
            command = here.protocol("default").enqueue(
                [("10" + "0" * 19, b"0", codec.encode_body("x", b"{}", 1, 1, 0))]
            )
        here.link.run([command])
        until(lambda: WorkerService.get_worker_stats()["processing_errors"] >= 3)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "pip install -U singleton-service" in caplog.text
    assert queue.get_queue_stats()["pending_tasks"] == 1
    assert WorkerService.stop_workers() == 0


def test_an_older_number_becomes_ours_and_a_newer_one_stays(queue: Queue) -> None:
    queue.enqueue_task("x")
    here = queue._open_client()
    key = here.protocol("default").keys.key("settings")
    for written, found in ((0, NEWER - 1), (NEWER + 5, NEWER + 5)):
        here.link.call(b"HSET", key, b"protocol", written)
        here._registered.clear()
        if written > NEWER:
            with pytest.raises(ProtocolVersionError):
                queue.enqueue_task("x")
        else:
            queue.enqueue_task("x")
        assert int(here.link.call(b"HGET", key, b"protocol")) == found
