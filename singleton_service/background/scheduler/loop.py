"""The worker that fires what is due, sleeps until the next, and outlives whatever goes wrong."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from singleton_service.background.task_queue import NotAcceptingError, QueueUnavailableError, TaskQueueError
from singleton_service.background.task_queue.outage import backoff_s
from singleton_service.background.task_queue.wall_clock import now_ms as wall_clock_ms
from singleton_service.workers import ThreadWorker

from .timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Callable

    from .timetable import Entry

logger = logging.getLogger("singleton_service.scheduler")

# A clock that is set, or a machine that wakes from sleep, is noticed after this long at the latest.
_LONGEST_SLEEP_S = 5.0
# With the server away, it is asked this often at least: an instant may be over soon.
_LONGEST_PAUSE_S = 1.0
_LONGEST_RETRY_S = 60.0
_CLOCK_SET_BACK_S = 0.5


class Loop(ThreadWorker):
    """A timetable, and the thread that drives it while it runs. Can be stopped and started again."""

    def __init__(self, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        super().__init__("scheduler")
        self.timetable = Timetable(clock_ms)
        self.errors = 0
        self._lead_s = 0.0

    def stop(self) -> None:
        """Ask the thread to end, and return: it does so at once if it sleeps, else after the fire under way."""
        # Not in a forked child: its parent's thread may hold that lock there, for ever.
        if self.is_alive:
            super().stop()
            with self.timetable.changed:
                self.timetable.changed.notify_all()

    def main(self) -> None:
        """Fire what is due until told to stop."""
        pause_s, outages = 0.0, 0
        self._lead_s = self._clock_lead_s()
        while (entry := self._wait_for_due(pause_s)) is not None:
            try:
                self.timetable._run_job(entry)
            except (QueueUnavailableError, NotAcceptingError) as error:
                # The same for every schedule: pause, then begin with one that has not been tried.
                outages += 1
                pause_s = min(backoff_s(outages), _LONGEST_PAUSE_S)
                self._stumbled(entry, pause_s, error)
            except Exception as error:
                pause_s, outages = 0.0, 0
                self._stumbled(entry, min(_LONGEST_RETRY_S, 0.05 * 2 ** min(entry.failures, 20)), error)
            except BaseException:
                # The end of this life. The next one finds the entry again.
                self.timetable.put_off(entry, 0)
                raise
            else:
                pause_s, outages = 0.0, 0

    def _wait_for_due(self, pause_s: float) -> Entry | None:
        """Sleep until an entry is due and take it; None when told to stop."""
        resume_at = time.monotonic() + pause_s
        changed = self.timetable.changed
        with changed:
            while not self.should_stop():
                self._notice_clock_set_back()
                pause_left_s = resume_at - time.monotonic()
                if pause_left_s <= 0 and (entry := self.timetable.take_due()) is not None:
                    return entry
                idle_s = self.timetable.idle_seconds
                wait_s = _LONGEST_SLEEP_S if idle_s is None else min(idle_s, _LONGEST_SLEEP_S)
                changed.wait(max(wait_s, pause_left_s, 0))
        return None

    def _notice_clock_set_back(self) -> None:
        lead_s = self._clock_lead_s()
        if lead_s < self._lead_s - _CLOCK_SET_BACK_S:
            self.timetable.clock_went_back()
        elif lead_s <= self._lead_s + _CLOCK_SET_BACK_S:
            return
        self._lead_s = lead_s

    def _clock_lead_s(self) -> float:
        # Both clocks run alike until someone sets the one on the wall.
        return self.timetable.clock_ms() / 1000 - time.monotonic()

    def _stumbled(self, entry: Entry, delay_s: float, error: Exception) -> None:
        self.errors += 1
        if entry.failures == 0:
            logger.warning(
                "schedule %r could not fire; trying again while its instant lasts: %s",
                entry.id,
                error,
                exc_info=None if isinstance(error, TaskQueueError) else error,
            )
        self.timetable.put_off(entry, delay_s)
