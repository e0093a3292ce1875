"""The queue at a glance: what lies in it, who works, what failed lately; and what changed between two glances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singleton_service.background.config import settings_in_force
from singleton_service.background.config.masking import mask_url
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import WorkerService

from .queues import queue_states
from .showing import note_of, now, task_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from singleton_service.background.task_queue import Task
    from singleton_service.background.worker import WorkerInfo

_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Overview:
    """One glance.

    Attributes:
        at: when, by the clock here.
        server: its URL, without secrets.
        namespace: first part of every key there.
        last_minute: as `get_analytics()` has it.
        queues: as `queues list --json` has them.
        workers: the processes that take tasks.
        failures: the tasks that failed last, the latest first.
    """

    at: datetime
    server: str
    namespace: str
    last_minute: dict[str, Any]
    queues: list[dict[str, Any]]
    workers: list[WorkerInfo]
    failures: list[Task]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as values that JSON has."""
        return {
            "at": self.at.isoformat(),
            "server": self.server,
            "namespace": self.namespace,
            "last_minute": self.last_minute,
            "queues": self.queues,
            "workers": [_worker_json(worker) for worker in self.workers],
            "failures": [task_json(task) for task in self.failures],
        }

    def changes_since(self, before: Overview | None) -> Iterator[str]:
        """Yield a line for each queue, worker and failure that is not as it was; for all when there is no before."""
        queues = {} if before is None else {state["name"]: state for state in before.queues}
        for state in self.queues:
            if state != queues.get(state["name"]):
                counts = " ".join(f"{key}={value}" for key, value in state.items() if type(value) is int)
                yield f"queue {state['name']}: {counts}{' paused' if state['paused'] else ''}"
        known = set() if before is None else {worker.id for worker in before.workers}
        for worker in self.workers:
            if worker.id not in known:
                yield f"worker {worker.host}:{worker.pid} is there, takes from {', '.join(worker.queues)}"
        here = {worker.id for worker in self.workers}
        for worker in before.workers if before else ():
            if worker.id not in here:
                yield f"worker {worker.host}:{worker.pid} is gone"
        seen = set() if before is None else {(task.id, task.completed_at) for task in before.failures}
        for task in reversed(self.failures):
            if (task.id, task.completed_at) not in seen:
                yield f"failed {task.id} {task.name}: {note_of(task)}"


def look() -> Overview:
    """Read all of it now.

    Raises:
        QueueUnavailableError: the server is not there.
    """
    return Overview(
        at=now(),
        server=mask_url(TaskQueueService.server_url()),
        namespace=settings_in_force().namespace,
        last_minute=TaskQueueService.get_analytics()["last_minute"],
        queues=queue_states(),
        workers=WorkerService.list_workers(),
        failures=TaskQueueService.get_recent_failures(_FAILURES),
    )


def _worker_json(worker: WorkerInfo) -> dict[str, Any]:
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "queues": list(worker.queues),
        "running": worker.tasks_running,
        "held": worker.tasks_held,
        "started_at": worker.started_at.isoformat() if worker.started_at else None,
        "last_heartbeat": worker.last_heartbeat.isoformat(),
    }
