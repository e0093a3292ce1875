"""Checks of schedules: pure functions of what they stand at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .finding import fine, problem
from .words import count, several, span

if TYPE_CHECKING:
    from .facts import ScheduleFacts
    from .finding import Finding

# A scheduler that works, and is only busy, has seen to it by then.
_OVERDUE_S: Final = 10.0


def check_schedules(schedules: ScheduleFacts) -> Finding:
    """Whether somebody fires the schedules that there are."""
    check = "schedules"
    overdue = {schedule: late_s for schedule, late_s in schedules.late_s.items() if late_s > _OVERDUE_S}
    if not overdue:
        return fine(check, f"{count(schedules.number, 'schedule')}, none overdue")
    said = several(f"{schedule} was due {span(late_s)} ago" for schedule, late_s in overdue.items())
    fix = "singleton-service scheduler MODULE, or run in place of worker: no scheduler runs."
    return problem(check, said, fix)
