"""Enqueue a task with each durability that is named, lease them all, say their ids, and wait for the end."""

from __future__ import annotations

import sys
import time

from singleton_service.background.task_queue import TaskQueueService

ids = [TaskQueueService.enqueue_task("x", durability=durability) for durability in sys.argv[1:]]
taken = [TaskQueueService.get_next_task(timeout=10) for _ in ids]
assert {task.id for task in taken if task} == set(ids)
print(*ids, flush=True)
time.sleep(600)
