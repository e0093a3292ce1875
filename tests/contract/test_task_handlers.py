"""Classes that do tasks, with workers, on every engine."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from singleton_service import BaseService, requires
from singleton_service._operations import state
from singleton_service.background.task_queue import TaskHandler, TaskQueueService, TaskStatus
from singleton_service.background.worker import WorkerService

Queue = type[TaskQueueService]


class Ledger(BaseService):
    @classmethod
    def entries(cls) -> int:
        return 7


def define() -> Any:
    @requires(Ledger)
    class Nightly(TaskHandler):
        queue = "low"

        @classmethod
        async def perform(cls, day: date, pages: int = 1) -> str:
            return f"{cls.__name__} {day} {pages} {Ledger.entries()}"

    return Nightly


def test_a_class_does_tasks(queue: Queue) -> None:
    nightly = define()
    WorkerService.start_workers(1)
    handle = nightly.perform_async(date(2026, 1, 2), pages=3)
    assert handle.get(timeout=10) == "Nightly 2026-01-02 3 7"
    assert handle.id.startswith("low.")
    assert nightly.perform_in(0.05, day=date(2026, 1, 2)).get(timeout=10) == "Nightly 2026-01-02 1 7"
    soon = datetime.now(UTC) + timedelta(seconds=0.05)
    assert nightly.perform_at(soon, day=date(2026, 1, 2)).get(timeout=10) == "Nightly 2026-01-02 1 7"


def test_enqueueing_starts_the_queue_alone(queue: Queue) -> None:
    nightly = define()
    handle = nightly.perform_in(60, date(2026, 1, 2))
    assert handle.status is TaskStatus.PENDING
    assert {service.__name__ for service in state.started} == {"ConfigService", "TaskQueueService"}
    found = queue.get_task_status(handle.id)
    assert found is not None
    assert found.eta is not None
    assert 50 < (found.eta - found.created_at).total_seconds() < 70
    with pytest.raises(ValueError, match="day: it is missing"):
        nightly.perform_async()
