"""A process that looks at the queue from outside, by its public methods, for the scenario that asks it."""

from __future__ import annotations

import json
import sys
from typing import Any

from singleton_service.background.task_queue import QueueUnavailableError, Task, TaskQueueService


def all_tasks() -> list[dict[str, Any]]:
    """Return every task the server knows, once."""
    found: dict[str, Task] = {}
    cursor = None
    while True:
        page = TaskQueueService.list_tasks(limit=1000, cursor=cursor)
        found.update((task.id, task) for task in page.tasks)
        cursor = page.cursor
        if cursor is None:
            return [described(task) for task in found.values()]


def described(task: Task) -> dict[str, Any]:
    """Return what the checker wants to know."""
    return {
        "id": task.id,
        "n": task.payload.get("n"),
        "status": task.status.value,
        "retries": task.retry_count,
        "errors": len(task.errors),
        "message": task.error_message,
        "created_s": task.created_at.timestamp(),
        "completed_s": task.completed_at.timestamp() if task.completed_at else None,
    }


def answer(question: str) -> Any:
    """Answer one question; None while the server is away."""
    try:
        match question.split():
            case ["tasks"]:
                return all_tasks()
            case ["running"]:
                # One page, so one moment.
                return [task.limit_key for task in TaskQueueService.list_tasks(status="running", limit=1000).tasks]
            case ["limit", most, most_per_key]:
                TaskQueueService.set_queue_limits("default", max_running=int(most))
                TaskQueueService.set_key_limits("default", max_running=int(most_per_key))
                return True
            case _:
                return TaskQueueService.get_queue_stats()
    except QueueUnavailableError:
        return None


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)
