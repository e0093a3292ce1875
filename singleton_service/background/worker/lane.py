"""One executor's part of what a dispatcher has in hand: what waits for it, what runs there, and its room for more."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from .batch import members_of
from .job import Ending
from .lookahead import HORIZON_S, PORTION, Lookahead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .executor import Executor
    from .job import Job
    from .seat import Order

# A place that begins nothing, as an event loop that is blocked, is given something again after that time.
_AGAIN_S = 1.0


class Lane:
    """Used by the dispatcher's thread alone.

    Attributes:
        executor: where its jobs run.
        waiting: those not known to have begun, in the order in which the executor takes them.
        number: how many are in hand: waiting, running, and ended but not collected.
        moved_at: when the last job came or ended, time.monotonic() seconds.
    """

    def __init__(self, executor: Executor, ranks: Mapping[str, int]) -> None:
        """Begin with nothing in hand; *ranks* say which queues' jobs go first, a lower one before a higher."""
        self.executor = executor
        self.waiting: deque[Job] = deque()
        self.number = 0
        self.moved_at = 0.0
        self._stuck_until: float | None = None
        self._ranks = ranks
        self._lookahead = Lookahead(executor.size)
        self._overlap = 0 if executor.kind == "thread" else executor.size

    @property
    def idle(self) -> int:
        """How many could begin at once."""
        return 0 if self._stuck_until else max(0, self.executor.size - self.number)

    def capacity(self, queue: str, now: float) -> int:
        """Return how many jobs from *queue* may be taken in hand beside those that are, at most."""
        if self._stuck_until:
            return self._trial(now)
        return max(0, self.executor.size - self.number + self._lookahead.tasks, self._overtakers(queue))

    def room(self, queue: str | None, now: float, *, to_run_dry: bool) -> int:
        """Return how many jobs to fetch now, if it is from *queue*; with *to_run_dry* none that would have to wait."""
        if self._stuck_until:
            return self._trial(now)
        if queue is not None and (number := self._overtakers(queue)):
            return number
        if to_run_dry and self.waiting:
            return 0
        idle = self.executor.size - self.number
        ahead = 0 if to_run_dry else self._lookahead.tasks
        # Where enough waits: a fuller batch costs less.
        worth_asking = min(ahead, PORTION) // 2
        return 0 if idle <= 0 and idle + ahead < worth_asking else max(0, idle + ahead)

    def has_plenty(self, queue: str | None, now: float) -> bool:
        """Whether more than another round waits, and nothing is to be fetched, if it is from *queue*."""
        return len(self.waiting) > self.executor.size and self.room(queue, now, to_run_dry=False) == 0

    def put(self, jobs: Sequence[Job], now: float) -> None:
        """Hand jobs from one queue to the executor. They go before those of less urgent queues that wait there."""
        self.number += len(jobs)
        self.moved_at = now
        if self._waits_below(jobs[0].lease.queue):
            overtaken = self.executor.take_back()
            self.forget(overtaken)
            jobs = sorted([*jobs, *overtaken], key=lambda job: self._ranks[job.lease.queue])
        for job in jobs:
            self.waiting.append(job)
            self.executor.submit(job)

    def collected(self, jobs: Sequence[Job], now: float) -> None:
        """Note that jobs have ended."""
        ran = [job.run_s for job in jobs if job.ending is not None and job.ending is not Ending.HOLD]
        self.ended(ran, len(jobs), now)

    def ended(self, runs_s: list[float], number: int, now: float) -> None:
        """Note that *number* jobs have ended, of which some ran for so long."""
        self.number -= number
        self.moved_at = now
        self._stuck_until = None
        self._lookahead.saw(runs_s)

    def note_begun(self) -> list[Job]:
        """Return the jobs that have begun since the last call."""
        gone = []
        while self.waiting and _waits_no_more(self.waiting[0]):
            gone.append(self.waiting.popleft())
        # Where one has to wait for its service or its process, those after it may have begun.
        overtook = [job for job in islice(self.waiting, self._overlap) if _waits_no_more(job)]
        if overtook:
            # Not by `forget`, which looks at all that wait.
            left = set(overtook)
            head = [self.waiting.popleft() for _ in range(min(self._overlap, len(self.waiting)))]
            self.waiting.extendleft(job for job in reversed(head) if job not in left)
        begun = [job for job in gone + overtook if job.has_begun]
        if begun:
            self._stuck_until = None
        return begun

    def let_go(self, jobs: Sequence[Job]) -> None:
        """Let go of jobs that are in hand."""
        self.number -= len(jobs)
        self.forget(jobs)

    def cancel(self, jobs: Sequence[Job], order: Order) -> list[Job]:
        """Interrupt jobs where they run; those that have not begun won't be. Returns those that end here and now."""
        for job in jobs:
            self.executor.cancel(job, order)
        return []

    def abandon(self, jobs: Sequence[Job]) -> None:
        """End by force what can be."""
        for job in jobs:
            self.executor.abandon(job)

    def take_back(self) -> list[Job]:
        """Take back what has not begun."""
        return members_of(self.executor.take_back())

    def stalled(self, now: float) -> list[Job]:
        """Take back what waits, if nothing has moved for long: it may start at once elsewhere."""
        if not self.waiting or now - self.moved_at <= HORIZON_S:
            return []
        self._lookahead.stalled()
        taken = self.executor.take_back()
        if taken:
            self._stuck_until = now + _AGAIN_S
        return members_of(taken)

    def trial_in_s(self, now: float) -> float:
        """Return the seconds until a place that begins nothing has room for a trial; infinite where all is well."""
        return float("inf") if self._stuck_until is None or self._stuck_until <= now else self._stuck_until - now

    def forget(self, jobs: Sequence[Job]) -> None:
        """Have these not wait any more."""
        leaving = set(jobs)
        self.waiting = deque(job for job in self.waiting if job not in leaving)

    def _trial(self, now: float) -> int:
        """Return how many jobs to try a place with that began nothing: one at a time."""
        is_due = self._stuck_until is not None and now >= self._stuck_until
        return int(is_due and not self.waiting and self.number < self.executor.size)

    def _overtakers(self, queue: str) -> int:
        """Return how many jobs from *queue* to take because they would overtake some that wait."""
        if not self._waits_below(queue):
            return 0
        rank = self._ranks[queue]
        return max(0, self.executor.size - sum(self._ranks[job.lease.queue] <= rank for job in self.waiting))

    def _waits_below(self, queue: str) -> bool:
        # Of those that no place has taken yet the last is of the least urgent.
        return bool(self.waiting) and self._ranks[self.waiting[-1].lease.queue] > self._ranks[queue]


def _waits_no_more(job: Job) -> bool:
    return job.has_begun or job.ending is not None or job.is_abandoned
