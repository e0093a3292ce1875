"""Schedules in time zones that not every machine knows alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import singleton_service
from singleton_service.background.expressions import zones
from singleton_service.background.scheduler import SchedulerService, definition
from singleton_service.background.task_queue import TaskQueueService
from tests.system.clockwork import fired

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

Queue = type[TaskQueueService]


def test_a_scheduler_whose_database_lacks_a_zone_leaves_its_schedules_to_others(
    bare: Queue, until: Callable[..., Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(name: str) -> None:
        raise ValueError(f"timezone {name!r} can't be used")

    SchedulerService.schedule_task("tick", {}, "every second", id="known")
    SchedulerService.schedule_task("tick", {}, "every second", id="unknown", timezone="Europe/Berlin")
    singleton_service.stop()
    with monkeypatch.context() as patched:
        patched.setattr(zones, "_read", read)
        definition._parsed.cache_clear()

        SchedulerService.start_scheduler()
        until(lambda: len(fired("known")) >= 2)

        assert fired("unknown") == []
        assert "schedule 'unknown' is left to others: timezone 'Europe/Berlin' can't be used" in caplog.text
        assert [job["id"] for job in SchedulerService.get_scheduled_jobs()] == ["known"]
        singleton_service.stop()

    SchedulerService.start_scheduler()
    until(lambda: fired("unknown"))
