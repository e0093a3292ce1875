"""What type checkers see through the doors; read by test_door_types.py, and by `make check`."""

from __future__ import annotations

from typing import Any, assert_type

from services.scheduler import SchedulerService
from services.task_queue import Task, TaskHandle, TaskQueueService, TaskStatus, task
from services.worker import WorkerService


@task
def plain(payload: dict[str, Any]) -> int:
    return len(payload)


@task(max_retries=5, retry_delay_seconds=0.5)
def with_policy(payload: dict[str, Any]) -> str:
    return str(payload)


assert_type(plain({}), int)
assert_type(with_policy({}), str)
assert_type(plain.name, str)
assert_type(with_policy.enqueue(to="a@b.c"), TaskHandle)
assert_type(TaskQueueService.enqueue_task("plain", {}, 0, 3), str)
assert_type(TaskQueueService.get_task_status("id"), Task | None)
assert_type(TaskQueueService.list_tasks(status=TaskStatus.FAILED).tasks, list[Task])
assert_type(WorkerService.stop_workers(), int)
assert_type(SchedulerService.schedule_task("plain", {}, "daily"), str)
