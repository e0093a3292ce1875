"""Tasks in processes of their own, when the worker that has them is told to end, or dies."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus
from tests.process_table import is_alive, runs_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.conftest import Workers

Queue = type[TaskQueueService]
PATIENCE_S = 60.0


def processes_of(workers: Workers) -> set[int]:
    """Return the processes in which handlers left a line."""
    return {int(line.split()[2]) for line in workers.lines()}


def status_of(task_id: str) -> TaskStatus | None:
    task = TaskQueueService.get_task_status(task_id)
    return None if task is None else task.status


def test_the_processes_of_a_killed_worker_end_with_it_and_their_tasks_run_elsewhere(
    queue: Queue, workers: Workers, until: Any
) -> None:
    names = ["sleep_once_apart", "deaf_apart"]
    ids = queue.enqueue_many(TaskRequest(name, {"n": name, "seconds": 60}) for name in names)
    first = workers.start(threads=1)
    until(lambda: len(workers.count("begin")) == 2, PATIENCE_S)
    processes = processes_of(workers)
    assert len(processes - {first.pid}) == 2

    first.kill()

    until(lambda: not any(map(is_alive, processes)))
    workers.start(threads=1)
    assert not {queue.get_result(task_id, timeout=PATIENCE_S) for task_id in ids} & processes
    assert workers.count("begin") == dict.fromkeys(names, 2)
    assert [task.retry_count for task_id in ids if (task := queue.get_task_status(task_id))] == [0, 0]


def test_a_term_for_the_whole_group_lets_them_end_and_hands_back_the_rest_uncounted(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    ending = queue.enqueue_task("sleep_apart", {"n": "ends", "seconds": 0.5})
    tidying = queue.enqueue_task("tidy_apart", {"n": "tidies"})
    deaf = queue.enqueue_task("deaf_apart", {"n": "deaf"})
    worker = workers.start(threads=1, timeout=1.5)
    until(lambda: len(workers.count("begin")) == 3, PATIENCE_S)

    os.killpg(worker.pid, signal.SIGTERM)

    # Nobody can begin it while it still runs here.
    until(lambda: status_of(deaf) is TaskStatus.PENDING, PATIENCE_S)
    assert not runs_on(next(int(line.split()[2]) for line in workers.lines() if line.startswith("begin deaf ")))
    assert at_end(worker, PATIENCE_S) == 0
    assert not any(map(is_alive, processes_of(workers)))
    assert "cut off 2" in workers.said()
    assert "Traceback" not in workers.said()
    assert workers.count("end") == {"ends": 1}
    assert workers.count("tidied") == {"tidies": 1}
    assert status_of(ending) is TaskStatus.COMPLETED
    for task_id in (tidying, deaf):
        task = queue.get_task_status(task_id)
        assert task is not None
        assert (task.status, task.retry_count, task.errors) == (TaskStatus.PENDING, 0, ())
