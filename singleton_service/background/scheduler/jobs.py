"""What schedules do when they fire: enqueue a task, or one of the two jobs that a scheduler has by default."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from singleton_service.background.expressions import parse
from singleton_service.background.task_queue import TaskQueueService, TaskRequest
from singleton_service.background.task_queue.requests import DEFAULT_QUEUE, Fire

from .definition import fire_task_id
from .timetable import Entry

if TYPE_CHECKING:
    from .definition import Definition
    from .timetable import Timetable

logger = logging.getLogger("singleton_service.scheduler")

CLEANUP_ID = "default.cleanup"
HEALTH_CHECK_ID = "default.health_check"


class Jobs:
    """Makes the entries of one timetable; their actions run in the scheduler's thread.

    Attributes:
        executed: instants that were seen to, be it that another process had been first.
    """

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable
        self.executed = 0

    def of_task(self, schedule_id: str, definition: Definition) -> Entry:
        """Return the entry that enqueues a task at each instant."""

        def enqueue(entry: Entry) -> None:
            self._enqueue(entry, definition.name, definition.payload, definition.queue)

        return Entry(
            self._timetable,
            schedule_id,
            definition.name,
            definition.recurrence,
            enqueue,
            queue=definition.queue,
            definition=definition,
        )

    def cleanup(self) -> Entry:
        """Return the entry that forgets old results, daily at 02:00 UTC."""
        return Entry(self._timetable, CLEANUP_ID, "cleanup", parse("daily at 02:00"), self._clean_up)

    def health_check(self) -> Entry:
        """Return the entry that sends a task all the way through, every 5 minutes."""
        every = parse("every 5 minutes")
        return Entry(self._timetable, HEALTH_CHECK_ID, "health_check", every, self._check_health, queue=DEFAULT_QUEUE)

    def _clean_up(self, entry: Entry) -> None:
        forgotten = TaskQueueService.clean_up()
        logger.info("Forgot %d finished tasks past their time", forgotten)
        self._note_run(entry)

    def _check_health(self, entry: Entry) -> None:
        if entry.last_task_id is not None:
            last = TaskQueueService.get_task_status(entry.last_task_id)
            if last is not None and not last.status.is_final:
                # Nobody works. More of the same would only be in the way of the first worker that comes.
                logger.debug("the health check before is not done yet: no other one is enqueued")
                return
        instant = datetime.fromtimestamp(entry.instant_ms / 1000, UTC)
        self._enqueue(entry, "health_check", {"timestamp": instant.isoformat()}, DEFAULT_QUEUE)

    def _enqueue(self, entry: Entry, name: str, payload: dict[str, Any], queue: str) -> None:
        request = TaskRequest(name, payload, queue=queue, task_id=fire_task_id(entry.id, entry.instant_ms))
        entry.last_task_id = TaskQueueService._enqueue_fire(request, Fire(entry.id, entry.instant_ms))
        self._note_run(entry)

    def _note_run(self, entry: Entry) -> None:
        self.executed += 1
        entry.last_run_ms = self._timetable.clock_ms()
