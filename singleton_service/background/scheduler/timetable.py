"""The schedules that this process knows, in the order in which they are due: the `schedule` library's, with a heap.

The library looks at every job at every tick; this costs in proportion to what is due. Its module-global scheduler is
never used, so that an application that uses it for itself meets none of our jobs. All times are ms since 1970, by the
server's clock. For one thread.
"""

from __future__ import annotations

import heapq
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .definition import Definition

_NOT_QUEUED = -1
_FEW_STALE = 64
# They are seen to together: few enough that the first of many need not wait for the last.
MOST_AT_ONCE = 50


class Entry(schedule.Job):
    """One schedule, as it was read. Changed by its timetable only.

    Attributes:
        revision: of what was read.
        instant_ms: the first instant that was not seen to, as far as this process knows.
        due_ms: when to see to it: at the instant, or later when that failed.
        runs: how often it fired before.
        failures: in a row.
    """

    def __init__(  # noqa: PLR0913 - what a schedule is read as, each its own
        self, timetable: Timetable, schedule_id: str, definition: Definition, revision: int, instant_ms: int, runs: int
    ) -> None:
        super().__init__(definition.recurrence.count or 1, timetable)
        self.unit = definition.recurrence.unit
        self.timetable = timetable
        self.id = schedule_id
        self.definition = definition
        self.revision = revision
        self.instant_ms = self.due_ms = instant_ms
        self.runs = runs
        self.failures = 0
        self.ticket = _NOT_QUEUED

    @property
    def should_run(self) -> bool:
        """Whether it is due."""
        return self.timetable.clock_ms() >= self.due_ms

    def __repr__(self) -> str:
        return f"<schedule {self.id!r}: {self.definition.recurrence.text}>"

    def __lt__(self, other: Entry) -> bool:
        return self.due_ms < other.due_ms

    def fire(self) -> None:
        """See to it, and to no other."""
        self.timetable.see_to([self])

    def _schedule_next_run(self) -> None:
        # The library calls this when a job is added and after each of its runs.
        if self.ticket == _NOT_QUEUED:
            self.timetable.arm(self, self.instant_ms, self.runs)


class Timetable(schedule.Scheduler):
    """Entries by id, and a heap of when they are due.

    Args:
        clock_ms: the server's time.
        see_to: called with the entries that are due, at most MOST_AT_ONCE; it has each come back, by `arm` or
            `put_off`, or taken out, by `remove`.
    """

    jobs: list[Entry]  # type: ignore[assignment]  # the library's list, of our kind of job only

    def __init__(self, clock_ms: Callable[[], int], see_to: Callable[[Sequence[Entry]], object]) -> None:
        super().__init__()
        self.clock_ms = clock_ms
        self.see_to = see_to
        self._by_id: dict[str, Entry] = {}
        self._heap: list[tuple[int, int, Entry]] = []

    def add(self, schedule_id: str, definition: Definition, revision: int, instant_ms: int, runs: int = 0) -> Entry:
        """Put an entry in, in the place of one with the same id."""
        self.remove(schedule_id)
        entry = self._by_id[schedule_id] = Entry(self, schedule_id, definition, revision, instant_ms, runs)
        # A bound method: with the entry as an argument, the library's str(job) would never end.
        entry.do(entry.fire)
        return entry

    def remove(self, schedule_id: str) -> bool:
        """Take an entry out; False when there is none. One that is just being seen to does not come back."""
        entry = self._by_id.pop(schedule_id, None)
        if entry is None:
            return False
        entry.ticket = _NOT_QUEUED
        self.jobs.remove(entry)
        return True

    def find(self, schedule_id: str) -> Entry | None:
        """Return an entry by its id."""
        return self._by_id.get(schedule_id)

    def empty(self) -> None:
        """Take all entries out."""
        self.jobs.clear()
        self._by_id.clear()
        self._heap.clear()

    def arm(self, entry: Entry, instant_ms: int, runs: int) -> None:
        """Set the instant that an entry is seen to next."""
        entry.instant_ms, entry.runs = instant_ms, runs
        entry.failures = 0
        self._push(entry, instant_ms)

    def put_off(self, entry: Entry, delay_s: float) -> None:
        """Try an entry again after a delay."""
        entry.failures += 1
        self._push(entry, self.clock_ms() + round(delay_s * 1000))

    def take_due(self) -> list[Entry]:
        """Take the first entries off the heap, those of them that are due."""
        due: list[Entry] = []
        now_ms = self.clock_ms()
        while len(due) < MOST_AT_ONCE and (first_ms := self.first_due_ms()) is not None and first_ms <= now_ms:
            due.append(heapq.heappop(self._heap)[2])
            due[-1].ticket = _NOT_QUEUED
        return due

    def first_due_ms(self) -> int | None:
        """Return when the first entry is due; None when there is none."""
        while self._heap and self._heap[0][1] != self._heap[0][2].ticket:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_pending(self) -> None:
        """See to what is due."""
        while due := self.take_due():
            self.see_to(due)

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
            return  # removed, or replaced, while it was being seen to
        entry.due_ms = due_ms
        entry.next_run = datetime.fromtimestamp(entry.instant_ms / 1000, UTC)
        # By chance: where many are due at once, several schedulers begin with different ones.
        entry.ticket = random.getrandbits(62)
        # Entries that moved leave their old place behind; when those outnumber the rest, build the heap anew.
        if len(self._heap) > 2 * len(self._by_id) + _FEW_STALE:
            self._heap = [item for item in self._heap if item[1] == item[2].ticket]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (due_ms, entry.ticket, entry))
