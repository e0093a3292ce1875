"""What workers in this process do, on every engine."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from typing import Any

import pytest

from singleton_service._operations import state
from singleton_service.background.task_queue import TaskFailedError, TaskQueueService, TaskRequest, TaskStatus, task
from singleton_service.background.worker import WorkerService
from singleton_service.background.worker.dispatcher import Dispatcher

Queue = type[TaskQueueService]


def test_the_services_start_once_each_and_in_order(queue: Queue) -> None:
    WorkerService.start_workers(1)
    WorkerService.start_workers(1)
    assert [service.__name__ for service in state.started] == ["ConfigService", "TaskQueueService", "WorkerService"]


def test_a_task_runs_and_its_result_is_kept(queue: Queue) -> None:
    queue.register_handler("add", lambda payload: payload["a"] + payload["b"])
    WorkerService.start_workers(2)
    assert queue.get_result(queue.enqueue_task("add", {"a": 1, "b": 2}), timeout=10) == 3


def test_coroutines_share_one_loop_for_the_workers_whole_life(queue: Queue) -> None:
    loops: set[int] = set()

    async def handler(payload: dict[str, Any]) -> str:
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return "async"

    queue.register_handler("async", handler)
    WorkerService.start_workers(2)
    ids = [queue.enqueue_task("async") for _ in range(5)]
    assert [queue.get_result(task_id, timeout=10) for task_id in ids] == ["async"] * 5
    assert len(loops) == 1


def test_a_decorated_function_is_a_task_and_still_a_function(queue: Queue) -> None:
    calls: list[int] = []

    @task(max_retries=3, retry_delay_seconds=0.01)
    def flaky(payload: dict[str, Any]) -> int:
        calls.append(payload["n"])
        if len(calls) < 3:
            raise RuntimeError(f"call {len(calls)}")
        return len(calls)

    WorkerService.start_workers(1)
    handle = flaky.enqueue(n=7)
    assert handle.get(timeout=10) == 3
    assert handle.status is TaskStatus.COMPLETED
    done = queue.get_task_status(handle.id)
    assert done is not None
    assert (done.retry_count, done.max_retries, [error.type for error in done.errors]) == (2, 3, ["RuntimeError"] * 2)
    assert flaky({"n": 1}) == 4


def test_a_failure_keeps_its_message_and_the_users_traceback(queue: Queue) -> None:
    def broken(payload: dict[str, Any]) -> None:
        raise KeyError("nothing here")

    queue.register_handler("broken", broken, max_retries=0)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("broken")
    with pytest.raises(TaskFailedError, match="nothing here"):
        queue.get_result(task_id, timeout=10)
    failed = queue.get_task_status(task_id)
    assert failed is not None
    assert failed.error_message == "Task execution failed: 'nothing here'"
    (error,) = failed.errors
    assert error.type == "KeyError"
    assert error.traceback is not None
    assert 'raise KeyError("nothing here")' in error.traceback
    assert "execution.py" not in error.traceback


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_nothing_a_handler_raises_ends_the_worker(queue: Queue, raised: BaseException) -> None:
    def leave(payload: dict[str, Any]) -> None:
        raise raised

    queue.register_handler("leave", leave, max_retries=0)
    queue.register_handler("after", lambda payload: "still here")
    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError):
        queue.get_result(queue.enqueue_task("leave"), timeout=10)
    assert queue.get_result(queue.enqueue_task("after"), timeout=10) == "still here"


def test_a_result_that_is_not_json_fails_once_and_is_not_run_again(queue: Queue) -> None:
    runs: list[int] = []

    def handler(payload: dict[str, Any]) -> object:
        runs.append(1)
        return object()

    queue.register_handler("odd", handler)
    WorkerService.start_workers(1)
    with pytest.raises(TaskFailedError, match="result is not JSON"):
        queue.get_result(queue.enqueue_task("odd"), timeout=10)
    assert runs == [1]


def test_a_task_nobody_knows_is_held_then_fails_with_its_name(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, until: Any
) -> None:
    monkeypatch.setenv("TASKS_UNKNOWN_TASK_SECONDS", "1")
    queue.register_handler("known", print)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("unknown")
    until(lambda: queue.get_queue_stats()["held_tasks"] == 1)
    held = queue.get_task_status(task_id)
    assert held is not None
    assert (held.status, held.held_reason) == (TaskStatus.PENDING, "No handler registered for task: unknown")
    with pytest.raises(TaskFailedError, match="No handler registered for task: unknown"):
        queue.get_result(task_id, timeout=10)


def test_a_held_task_runs_when_a_worker_knows_it(queue: Queue, until: Any) -> None:
    queue.register_handler("known", print)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("late")
    until(lambda: queue.get_queue_stats()["held_tasks"] == 1)
    queue.register_handler("late", lambda payload: "known now")
    assert queue.get_result(task_id, timeout=10) == "known now"
    done = queue.get_task_status(task_id)
    assert done is not None
    assert done.retry_count == 0


def test_a_waiting_task_goes_to_an_idle_worker_not_behind_a_busy_one(queue: Queue, until: Any) -> None:
    """Quick tasks make the worker fetch ahead; when a slow one comes, what it had fetched is handed back."""
    release = threading.Event()
    queue.register_handler("quick", lambda payload: None)
    queue.register_handler("slow", lambda payload: release.wait(30))
    WorkerService.start_workers(1)
    queue.enqueue_many([TaskRequest("quick") for _ in range(50)])
    until(lambda: queue.get_queue_stats()["tasks_processed"] == 50)
    queue.enqueue_many([TaskRequest("slow"), *[TaskRequest("quick") for _ in range(5)]])
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 1)
    try:
        until(lambda: queue.get_queue_stats()["pending_tasks"] == 5)
    finally:
        release.set()
    until(lambda: queue.get_queue_stats()["tasks_processed"] == 56)


def test_a_more_urgent_queue_overtakes_a_deep_one(queue: Queue, until: Any) -> None:
    order: list[str] = []
    gate = threading.Event()

    def note(payload: dict[str, Any]) -> None:
        gate.wait(10)
        order.append(payload["q"])

    queue.register_handler("note", note)
    WorkerService.start_workers(1)
    queue.enqueue_many([TaskRequest("note", {"q": "low"}, queue="low") for _ in range(20)])
    until(lambda: WorkerService.get_worker_stats()["busy_workers"] == 1)
    queue.enqueue_many([TaskRequest("note", {"q": "critical"}, queue="critical") for _ in range(5)])
    enqueued_at = time.monotonic()
    # The dispatcher asks whether something more urgent has come at most every 10 ms.
    until(lambda: time.monotonic() - enqueued_at > 0.05)
    gate.set()
    until(lambda: len(order) == 25)
    assert order.index("critical") <= 2
    assert order[:7].count("critical") == 5


def test_starting_twice_changes_nothing_and_stopping_twice_neither(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="singleton_service"):
        WorkerService.start_workers(num_workers=2)
        WorkerService.start_workers(num_workers=3)
    assert "Started 2 worker threads" in caplog.text
    assert "2 workers run already" in caplog.text
    names = {thread.name for thread in threading.enumerate()}
    assert {"worker-1", "worker-2"} <= names
    assert "worker-3" not in names
    assert WorkerService.stop_workers() == 0
    assert WorkerService.stop_workers() == 0
    stats = WorkerService.get_worker_stats()
    assert (stats["workers_started"], stats["workers_stopped"]) == (2, 2)
    assert (stats["active_workers"], stats["total_workers"], stats["is_running"]) == (0, 0, False)


def test_workers_can_be_started_again_beside_a_straggler(
    queue: Queue, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    runs: list[str] = []

    def stubborn(payload: dict[str, Any]) -> str:
        runs.append(threading.current_thread().name)
        if len(runs) == 1:
            release.wait(30)
        return f"run {len(runs)}"

    queue.register_handler("stubborn", stubborn)
    WorkerService.start_workers(1)
    task_id = queue.enqueue_task("stubborn")
    until(lambda: runs)
    assert WorkerService.stop_workers(timeout=0.1) == 1
    assert "Worker worker-1 did not stop gracefully" in caplog.text
    assert WorkerService.get_worker_stats()["active_workers"] == 1
    WorkerService.start_workers(1)
    assert queue.get_result(task_id, timeout=10) == "run 2"
    assert WorkerService.get_worker_stats()["active_workers"] == 2
    release.set()
    until(lambda: WorkerService.get_worker_stats()["active_workers"] == 1)
    assert queue.get_result(task_id) == "run 2"
    assert queue.get_queue_stats()["tasks_processed"] == 1


def test_a_dispatcher_that_dies_of_what_nobody_foresaw_goes_on_with_what_it_holds(
    queue: Queue, until: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    is_over = threading.Event()
    runs: list[int] = []

    def wait(payload: dict[str, int]) -> int:
        runs.append(payload["n"])
        is_over.wait(30)
        return -payload["n"]

    queue.register_handler("wait", wait)
    ids = queue.enqueue_many(TaskRequest("wait", {"n": n}) for n in range(6))
    WorkerService.start_workers(2)
    until(lambda: len(runs) == 2)
    turn, deaths = Dispatcher._turn, iter([SystemError("nobody foresaw this"), KeyboardInterrupt()])

    def dying(dispatcher: Dispatcher) -> None:
        death = next(deaths, None)
        if death is not None:
            raise death
        turn(dispatcher)

    monkeypatch.setattr(Dispatcher, "_turn", dying)
    is_over.set()
    assert [queue.get_result(task_id, timeout=30) for task_id in ids] == [0, -1, -2, -3, -4, -5]
    assert sorted(runs) == list(range(6))
    assert "worker 'worker-dispatcher' died: main raised SystemError('nobody foresaw this')" in caplog.text
    until(WorkerService.health_check)
    assert WorkerService.get_worker_stats()["processing_errors"] == 2
    assert queue.get_queue_stats()["tasks_recovered"] == 0


@pytest.mark.parametrize(
    ("number", "error"), [(0, ValueError), (-1, ValueError), (1001, ValueError), ("4", TypeError), (True, TypeError)]
)
def test_a_bad_number_of_workers_is_refused(queue: Queue, number: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="num_workers"):
        WorkerService.start_workers(number)
    assert WorkerService.get_worker_stats()["is_running"] is False


def test_signals_stay_the_hosts(queue: Queue) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            WorkerService.start_workers(1)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert not failures
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_run_forever_gives_back_the_signal_handlers(queue: Queue) -> None:
    before = signal.getsignal(signal.SIGTERM)
    queue.register_handler("term", lambda payload: os.kill(os.getpid(), signal.SIGTERM))
    queue.enqueue_task("term")
    assert WorkerService.run_forever(1) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_samples_serve_a_first_try_only(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("singleton_service.background.worker.samples.time.sleep", lambda seconds: None)
    WorkerService.start_workers(1)
    assert {"send_email", "process_image", "generate_report"} <= set(queue._task_handlers)
    sent = queue.get_result(queue.enqueue_task("send_email", {"recipient": "a@b.c"}), timeout=10)
    assert (sent["status"], sent["recipient"]) == ("sent", "a@b.c")
    assert "sample handler: nothing was sent" in caplog.text
    image = queue.get_result(queue.enqueue_task("process_image", {"image_url": "u", "operations": [1]}), timeout=10)
    assert image == {
        "status": "processed",
        "original_url": "u",
        "processed_url": "u_processed.jpg",
        "operations_applied": [1],
    }
    report = queue.get_result(queue.enqueue_task("generate_report", {"type": "sales", "date_range": "x"}), timeout=10)
    assert report["file_path"].startswith("/reports/sales_")
    queue.register_handler("mine", print)
    assert "send_email" not in queue._task_handlers


def test_samples_can_be_forbidden(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_SAMPLE_HANDLERS", "false")
    WorkerService.start_workers(1)
    assert "send_email" not in queue._task_handlers


def test_statistics_have_the_documented_keys(queue: Queue) -> None:
    WorkerService.start_workers(2)
    assert WorkerService.get_worker_stats().keys() >= {
        "workers_started",
        "workers_stopped",
        "tasks_processed",
        "tasks_failed",
        "processing_errors",
        "active_workers",
        "total_workers",
        "is_running",
    }


def test_ten_thousand_tasks_run_once_each(queue: Queue, until: Any) -> None:
    seen: list[int] = []
    queue.register_handler("note", lambda payload: seen.append(payload["n"]))
    WorkerService.start_workers(8)
    queue.enqueue_many([TaskRequest("note", {"n": n}) for n in range(10_000)])
    until(lambda: queue.get_queue_stats()["tasks_processed"] == 10_000, 60)
    assert sorted(seen) == list(range(10_000))
    stats = queue.get_queue_stats()
    assert (stats["running_tasks"], stats["pending_tasks"]) == (0, 0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_no_workers_until_it_starts_its_own(queue: Queue) -> None:
    queue.register_handler("x", lambda payload: os.getpid())
    WorkerService.start_workers(2)
    assert queue.get_result(queue.enqueue_task("x"), timeout=10) == os.getpid()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            stats = WorkerService.get_worker_stats()
            if (stats["is_running"], stats["active_workers"], stats["tasks_processed"]) == (False, 0, 0):
                status = 2 if WorkerService.stop_workers() else 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert WorkerService.get_worker_stats()["active_workers"] == 2
    assert queue.get_result(queue.enqueue_task("x"), timeout=10) == os.getpid()
