"""Batches and the death of workers, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus

if TYPE_CHECKING:
    from tests.system.conftest import Workers

Queue = type[TaskQueueService]


def all_are(queue: Queue, ids: list[str], status: TaskStatus) -> bool:
    return all((task := queue.get_task_status(task_id)) and task.status is status for task_id in ids)


def test_a_batch_whose_worker_is_killed_runs_again_and_each_task_completes_once(
    queue: Queue, workers: Workers, until: Any
) -> None:
    ids = queue.enqueue_many([TaskRequest("slowly", {"n": n}) for n in range(40)])
    first = workers.run("batch_worker.py")
    until(lambda: len(workers.count("begin")) >= 20)
    first.kill()
    first.wait()
    cut_off = workers.count("begin") - workers.count("end")
    workers.run("batch_worker.py")
    until(lambda: all_are(queue, ids, TaskStatus.COMPLETED), 30)
    assert [queue.get_result(each) for each in ids] == list(range(40))
    assert queue.get_queue_stats()["tasks_processed"] == 40
    assert cut_off
    begun = workers.count("begin")
    assert all(begun[n] == 2 for n in cut_off)
    assert all(task.retry_count == 0 for task in map(queue.get_task_status, ids) if task is not None)


def test_one_that_kills_its_worker_is_found_in_its_batch_and_its_neighbours_complete(
    queue: Queue, workers: Workers, until: Any
) -> None:
    poison, *innocent = queue.enqueue_many([TaskRequest("crash", {"n": n}) for n in range(5)])
    process = workers.run("batch_worker.py")

    def buried() -> bool:
        nonlocal process
        if process.poll() is not None:
            process = workers.run("batch_worker.py")
        return all_are(queue, [poison], TaskStatus.FAILED) and all_are(queue, innocent, TaskStatus.COMPLETED)

    until(buried, 60)
    sizes = [line.split()[2] for line in workers.lines() if line.startswith("begin 0 ")]
    assert sizes == ["5", "5", "1"], "the third time it came alone"
