"""What native code that never lets go of the interpreter costs: a second run, never a wrong outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import TaskQueueService, TaskStatus

if TYPE_CHECKING:
    from tests.system.conftest import Workers


def test_native_code_that_outlasts_the_lease_runs_again_and_its_late_outcome_is_refused(
    queue: type[TaskQueueService], workers: Workers, until: Any
) -> None:
    # Twice as long as the lease: no thread of that process can beat meanwhile.
    task_id = queue.enqueue_task("hog", {"n": 1, "seconds": 4})
    workers.start(threads=1)
    until(lambda: workers.count("begin")["1"] == 1)
    second = workers.start(threads=1)

    task = until(lambda: (now := queue.get_task_status(task_id)) and now.status is TaskStatus.COMPLETED and now, 20)
    assert task.result == second.pid
    assert task.retry_count == 0

    until(lambda: "its outcome was refused" in workers.said(), 20)
    assert queue.get_task_status(task_id) == task
    assert queue.get_queue_stats()["tasks_processed"] == 1
