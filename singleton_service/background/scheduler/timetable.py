"""The schedules of one process in the order in which they are due: the `schedule` library's, with a heap.

The library looks at every job at every tick; this costs in proportion to what is due. Its module-global scheduler is
never used, so that an application that uses it for itself meets none of our jobs. All times are ms since 1970.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import schedule

from singleton_service.background.task_queue.wall_clock import now_ms as wall_clock_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.expressions import Recurrence

    from .definition import Definition

logger = logging.getLogger("singleton_service.scheduler")

# A task is remembered for 24 hours after it was enqueued; an older instant could be enqueued a second time. Ten
# minutes are kept for clocks that differ.
OLDEST_MS = (24 * 60 - 10) * 60_000
_NOT_QUEUED = -1
_FEW_STALE = 64


class Entry(schedule.Job):
    """One schedule. Made by `Timetable.add`, changed under the timetable's lock only.

    Attributes:
        action: called with the entry to fire its `instant_ms`.
        definition: None for what the scheduler itself does.
        instant_ms: the instant that is fired next, or now.
        due_ms: when to fire it: at the instant, or later when that failed.
        failures: in a row.
        last_run_ms: when it last fired in this process; `last_task_id` the task it enqueued then.
    """

    def __init__(  # noqa: PLR0913 - what a listing shows, each its own
        self,
        timetable: Timetable,
        schedule_id: str,
        name: str,
        recurrence: Recurrence,
        action: Callable[[Entry], object],
        *,
        queue: str | None = None,
        definition: Definition | None = None,
    ) -> None:
        super().__init__(recurrence.count or 1, timetable)
        self.unit = recurrence.unit
        self.timetable = timetable
        self.id = schedule_id
        self.name = name
        self.recurrence = recurrence
        self.action = action
        self.queue = queue
        self.definition = definition
        self.instant_ms = timetable.clock_ms()
        self.due_ms = self.instant_ms
        self.failures = 0
        self.last_run_ms: int | None = None
        self.last_task_id: str | None = None
        self.ticket = _NOT_QUEUED

    @property
    def should_run(self) -> bool:
        """Whether it is due."""
        return self.timetable.clock_ms() >= self.due_ms

    def __repr__(self) -> str:
        return f"<schedule {self.id!r}: {self.recurrence.text}>"

    def __lt__(self, other: Entry) -> bool:
        return self.due_ms < other.due_ms

    def run(self) -> object:
        """Fire the current instant, and only that one: however many went by unseen, there is no storm."""
        now_ms = self.timetable.clock_ms()
        self.instant_ms = max(self.instant_ms, self.recurrence.latest(now_ms))
        if now_ms - self.instant_ms > OLDEST_MS:
            logger.warning("schedule %r: its last instant is a day old and is left out", self.id)
            self._schedule_next_run()
            return None
        return super().run()  # type: ignore[no-untyped-call]  # the library leaves it bare

    def fire(self) -> object:
        """Do what this schedule is for."""
        return self.action(self)

    def _schedule_next_run(self) -> None:
        # The library calls this when a job is added and after each of its runs.
        self.timetable.arm(self, self.recurrence.next_after(self.instant_ms))


class Timetable(schedule.Scheduler):
    """Entries by id, and a heap of when they are due. Thread-safe.

    Attributes:
        changed: notified when an entry may have become the first; its lock guards the timetable.
    """

    jobs: list[Entry]  # type: ignore[assignment]  # the library's list, of our kind of job only

    def __init__(self, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        super().__init__()
        self.clock_ms = clock_ms
        self.changed = threading.Condition(threading.RLock())
        self._by_id: dict[str, Entry] = {}
        self._heap: list[tuple[int, int, Entry]] = []
        self._tickets = itertools.count()

    def add(self, entry: Entry) -> None:
        """Put an entry in, in the place of one with the same id."""
        with self.changed:
            self.remove(entry.id)
            self._by_id[entry.id] = entry
            # A bound method: with the entry as an argument, the library's str(job) would never end.
            entry.do(entry.fire)

    def remove(self, schedule_id: str) -> bool:
        """Take an entry out; False when there is none. One that is just being fired does not come back."""
        with self.changed:
            entry = self._by_id.pop(schedule_id, None)
            if entry is None:
                return False
            entry.ticket = _NOT_QUEUED
            self.cancel_job(entry)
            return True

    def find(self, schedule_id: str) -> Entry | None:
        """Return an entry by its id."""
        with self.changed:
            return self._by_id.get(schedule_id)

    def arm(self, entry: Entry, instant_ms: int) -> None:
        """Set the instant that an entry fires next."""
        with self.changed:
            entry.instant_ms = instant_ms
            entry.failures = 0
            self._push(entry, instant_ms)

    def put_off(self, entry: Entry, delay_s: float) -> None:
        """Try an entry again after a delay, at its next instant at the latest."""
        with self.changed:
            now_ms = self.clock_ms()
            entry.failures += 1
            self._push(entry, min(now_ms + round(delay_s * 1000), entry.recurrence.next_after(now_ms)))

    def take_due(self) -> Entry | None:
        """Take the first entry off the heap if it is due; it comes back by `arm` or `put_off`."""
        with self.changed:
            first_ms = self.first_due_ms()
            if first_ms is None or first_ms > self.clock_ms():
                return None
            entry = heapq.heappop(self._heap)[2]
            entry.ticket = _NOT_QUEUED
            return entry

    def first_due_ms(self) -> int | None:
        """Return when the first entry is due; None when there is none."""
        with self.changed:
            while self._heap and self._heap[0][1] != self._heap[0][2].ticket:
                heapq.heappop(self._heap)
            return self._heap[0][0] if self._heap else None

    def count_due(self) -> int:
        """Count the entries whose instant has come and that are still to be fired."""
        with self.changed:
            now_ms = self.clock_ms()
            return sum(entry.instant_ms <= now_ms for entry in self.jobs)

    def clock_went_back(self) -> None:
        """Let no entry wait for an instant that is more than one interval away."""
        with self.changed:
            now_ms = self.clock_ms()
            for entry in self.jobs:
                next_ms = entry.recurrence.next_after(now_ms)
                if next_ms < entry.instant_ms and entry.ticket != _NOT_QUEUED:
                    self.arm(entry, next_ms)

    def run_pending(self) -> None:
        """Fire what is due, once each. The first error is raised, its entry tried again after a second."""
        while (entry := self.take_due()) is not None:
            try:
                self._run_job(entry)
            except BaseException:
                self.put_off(entry, 1.0)
                raise

    def get_next_run(self, tag: object = None) -> datetime | None:  # noqa: ARG002 - our entries have no tags
        """Return when the first entry is due, in UTC."""
        first_ms = self.first_due_ms()
        return None if first_ms is None else datetime.fromtimestamp(first_ms / 1000, UTC)

    next_run = property(get_next_run)

    @property
    def idle_seconds(self) -> float | None:
        """Seconds until the first entry is due; negative when it is overdue, None when there is none."""
        first_ms = self.first_due_ms()
        return None if first_ms is None else (first_ms - self.clock_ms()) / 1000

    def _push(self, entry: Entry, due_ms: int) -> None:
        if self._by_id.get(entry.id) is not entry:
            return  # removed, or replaced, while it was being fired
        entry.due_ms = due_ms
        entry.next_run = datetime.fromtimestamp(entry.instant_ms / 1000, UTC)
        entry.ticket = next(self._tickets)
        # Entries that moved leave their old place behind; when those outnumber the rest, build the heap anew.
        if len(self._heap) > 2 * len(self._by_id) + _FEW_STALE:
            self._heap = [item for item in self._heap if item[1] == item[2].ticket]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (due_ms, entry.ticket, entry))
        if self._heap[0][1] == entry.ticket:
            self.changed.notify_all()
