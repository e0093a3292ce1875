"""Enqueue a task for each point in time that is named, naive as people write them; say when each is due, in UTC."""

from __future__ import annotations

import sys
from datetime import datetime

from singleton_service.background.task_queue import TaskQueueService, TaskRequest

for text in sys.argv[1:]:
    written, _, fold = text.partition("/")
    when = datetime.fromisoformat(written).replace(fold=int(fold or 0))
    ids = [TaskQueueService.enqueue_task("x", eta=when), *TaskQueueService.enqueue_many([TaskRequest("x", eta=when)])]
    tasks = [TaskQueueService.get_task_status(one) for one in ids]
    print(*{task.eta.isoformat() for task in tasks if task and task.eta}, flush=True)
