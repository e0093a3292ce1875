"""What only processes can promise: a handler that crashes or can't be stopped harms nobody else. On every engine."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from singleton_service import BaseService, requires
from singleton_service.background.task_queue import (
    ProcessDiedError,
    Task,
    TaskFailedError,
    TaskHandler,
    TaskQueueService,
    TaskStatus,
    task,
)
from singleton_service.background.task_queue.handlers import registry
from singleton_service.background.worker import WorkerService
from tests.process_table import is_alive, task_processes

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = type[TaskQueueService]
PATIENCE_S = 60.0


def crash(payload: dict[str, Any]) -> str:
    """Crash as often as is said."""
    path = Path(payload["runs"])
    with path.open("a", encoding="utf-8") as file:
        file.write("x")
    if len(path.read_text(encoding="utf-8")) > payload["times"]:
        return "survived"
    if payload["how"] == "segfault":
        ctypes.string_at(0)
    if payload["how"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def nap(payload: dict[str, Any]) -> int:
    time.sleep(payload["seconds"])
    return os.getpid()


def count_for_ever(_payload: dict[str, Any]) -> None:
    sum(range(1 << 62))


def hold(payload: dict[str, Any]) -> int:
    ctypes.PyDLL(None).sleep(payload["seconds"])  # PyDLL, unlike CDLL, keeps the interpreter's lock
    return os.getpid()


def enqueue_another(payload: dict[str, Any]) -> Any:
    return TaskQueueService.get_result(TaskQueueService.enqueue_task("nap", payload), timeout=PATIENCE_S)


def not_if_killed(_task: Task, error: BaseException) -> bool | None:
    return False if isinstance(error, ProcessDiedError) and error.exit_code == -signal.SIGKILL else None


class Safe(BaseService):
    """Open while a file says so."""

    path: ClassVar[str] = ""

    @classmethod
    def initialize(cls) -> None:
        if not Path(os.environ["SAFE"]).exists():
            raise RuntimeError("the safe is shut")


@requires(Safe)
class LookIntoSafe(TaskHandler):
    execution = "process"

    @classmethod
    def perform(cls, number: int) -> str:
        return f"{number} in {os.getpid()}"


@task(execution="process", timeout=60)
async def look_twice(number: int) -> int:
    return 2 * number


OWN = [registry[name] for name in ("LookIntoSafe", "look_twice")]


def test_a_crash_is_retried_or_buried_by_the_policy_and_neighbours_complete(queue: Queue, tmp_path: Path) -> None:
    queue.register_handler(
        "crash", crash, execution="process", retry_delay_seconds=0, on_error=not_if_killed, max_retries=1
    )
    queue.register_handler("nap", nap, execution="process")
    queue.register_handler("nap_here", nap)
    payloads = {
        name: {"runs": str(tmp_path / name), "how": how, "times": times}
        for name, how, times in (("once", "segfault", 1), ("twice", "exit", 2), ("killed", "kill", 1))
    }
    ids = {name: queue.enqueue_task("crash", payload) for name, payload in payloads.items()}
    neighbours = [queue.enqueue_task(name, {"seconds": 0.2}) for name in ("nap", "nap_here") for _ in range(4)]
    WorkerService.start_workers(2)

    assert queue.get_result(ids["once"], timeout=PATIENCE_S) == "survived"
    with pytest.raises(TaskFailedError, match="its process died: exit code 3"):
        queue.get_result(ids["twice"], timeout=PATIENCE_S)
    with pytest.raises(TaskFailedError, match="its process died: SIGKILL"):
        queue.get_result(ids["killed"], timeout=PATIENCE_S)
    for task_id in neighbours:
        queue.get_result(task_id, timeout=PATIENCE_S)
    found = {name: queue.get_task_status(task_id) for name, task_id in ids.items()}
    runs = {name: (found[name].retry_count, len((tmp_path / name).read_text())) for name in ids}  # type: ignore[union-attr]
    assert runs == {"once": (1, 2), "twice": (1, 2), "killed": (0, 1)}
    error = found["once"].errors[0]  # type: ignore[union-attr]
    assert (error.type, "in crash" in str(error.traceback)) == ("ProcessDiedError", True)
    assert queue.get_queue_stats()["tasks_recovered"] == 0
    stopped = task_processes()
    assert stopped
    WorkerService.stop_workers()
    assert not any(map(is_alive, stopped))


def test_native_code_that_never_returns_is_stopped_by_its_limit_and_by_a_cancel(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    monkeypatch.setenv("TASKS_INTERRUPT_GRACE_SECONDS", "0.2")
    monkeypatch.setenv("TASKS_PROCESSES", "1")
    queue.register_handler("count", count_for_ever, execution="process", max_retries=0)
    queue.register_handler("nap", nap, execution="process")
    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError, match=r"longer than its time limit of 0\.1 s"):
        queue.get_result(queue.enqueue_task("count", timeout=0.1), timeout=PATIENCE_S)
    task_id = queue.enqueue_task("count")
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 1, PATIENCE_S)
    assert queue.cancel_task(task_id)
    until(lambda: queue.get_task_status(task_id).status is TaskStatus.CANCELLED)  # type: ignore[union-attr]
    assert queue.get_result(queue.enqueue_task("nap", {"seconds": 0}), timeout=PATIENCE_S) != os.getpid()
    assert len(task_processes()) == 1
    assert WorkerService.get_worker_stats()["active_workers"] == 1


def test_native_code_that_outlasts_the_lease_runs_once(queue: Queue) -> None:
    queue.register_handler("hold", hold, execution="process")
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("hold", {"seconds": 3})  # the lease has 2
    assert queue.get_result(task_id, timeout=PATIENCE_S) != os.getpid()
    stats = queue.get_queue_stats()
    assert (stats["tasks_processed"], stats["tasks_recovered"]) == (1, 0)


def test_a_handler_there_has_a_queue_of_its_own_to_use(queue: Queue) -> None:
    for name, handler in (("ask", enqueue_another), ("nap", nap)):
        queue.register_handler(name, handler, execution="process" if name == "ask" else None)
    WorkerService.start_workers(1)
    assert queue.get_result(queue.enqueue_task("ask", {"seconds": 0}), timeout=PATIENCE_S) == os.getpid()


def test_classes_and_functions_take_what_they_say_and_their_services_are_started_there(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    for handler in OWN:
        registry.register(handler)
    safe = tmp_path / "safe"
    monkeypatch.setenv("SAFE", str(safe))
    WorkerService.start_workers(1)
    assert look_twice.enqueue(21).get(timeout=PATIENCE_S) == 42
    handle = LookIntoSafe.perform_async(7)
    until(lambda: "the safe is shut" in str(queue.get_task_status(handle.id).held_reason), PATIENCE_S)  # type: ignore[union-attr]
    safe.touch()
    result = handle.get(timeout=PATIENCE_S)
    assert result.startswith("7 in ")
    assert result != f"7 in {os.getpid()}"
    assert not Safe._initialized
    assert queue.get_task_status(handle.id).retry_count == 0  # type: ignore[union-attr]


def test_what_can_not_be_imported_is_refused_where_it_is_registered_and_where_workers_start(queue: Queue) -> None:
    with pytest.raises(TypeError, match="it is a lambda"):
        queue.register_handler("job", lambda payload: payload, execution="process")
    with pytest.raises(TypeError, match="it is defined inside a function"):

        @task(execution="process")
        def local() -> None: ...

    queue.register_handler("job", nap, execution="process", on_error=lambda _task, _error: True)
    with pytest.raises(TypeError, match="the options of task 'job' can't be passed"):
        WorkerService.start_workers(1)
    assert not WorkerService.get_worker_stats()["is_running"]
