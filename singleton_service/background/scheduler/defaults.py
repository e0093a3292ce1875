"""The two schedules that a started scheduler has by itself, and what it does for them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from singleton_service.background.expressions import parse
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.mould import DEFAULT_QUEUE

from .definition import Definition

if TYPE_CHECKING:
    from singleton_service.background.config import PlainSettings

logger = logging.getLogger("singleton_service.scheduler")

CLEANUP_ID = "default.cleanup"
HEALTH_CHECK_ID = "default.health_check"

_CLEANUP = Definition("cleanup", b"{}", parse("daily at 02:00"), None)
# While nobody works, more of the same would only be in the way of the first worker that comes.
_HEALTH_CHECK = Definition(
    "health_check",
    b"{}",
    parse("every 5 minutes"),
    DEFAULT_QUEUE,
    missed="skip",
    overlap="skip",
    moments=(("timestamp", "datetime"),),
)


def default_schedules(settings: PlainSettings) -> dict[str, Definition]:
    """Return those that the settings leave on, by their ids."""
    wanted = {CLEANUP_ID: settings.scheduler_cleanup, HEALTH_CHECK_ID: settings.scheduler_health_check}
    known = {CLEANUP_ID: _CLEANUP, HEALTH_CHECK_ID: _HEALTH_CHECK}
    return {schedule_id: known[schedule_id] for schedule_id, is_wanted in wanted.items() if is_wanted}


def clean_up() -> None:
    """Forget old results, in this thread. Harmless when several schedulers do it at once."""
    logger.info("Forgot %d finished tasks past their time", TaskQueueService.clean_up())
