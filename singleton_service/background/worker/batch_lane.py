"""The tasks of one batch handler: gathered until there are enough, or the first of them has waited long enough."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .batch import Batch, members_of
from .job import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.task_queue.lease import Lease

    from .job import Job
    from .lane import Lane
    from .seat import Order


class BatchLane:
    """Goes before the lane of an executor, where a batch is one job, and takes one place. Used as that one is.

    What is gathered has not begun, and costs neither a place nor a thread. A batch for which there is a place begins
    when the server has been told: a crash counts from then on, be it at the handler's first step.

    Attributes:
        gathered: those that wait for others.
        starting: batches that begin as soon as the server knows.
    """

    def __init__(self, lane: Lane, handler: Handler, ranks: Mapping[str, int]) -> None:
        """Begin with nothing gathered, for batches that are to run in *lane*."""
        self.gathered: list[Job] = []
        self.starting: list[Batch] = []
        self._told: list[Batch] = []
        self._lane = lane
        self._handler = handler
        self._ranks = ranks
        # When each of those gathered came, and when the first has waited enough: time.monotonic() seconds.
        self._came_at: dict[Job, float] = {}
        self._send_at = inf
        # Tasks that are on their way in a batch.
        self._sent: dict[Lease, Batch] = {}

    @property
    def kind(self) -> str:
        """Where the batches run."""
        return self._lane.executor.kind

    @property
    def running(self) -> int:
        """How many batches run now. Any thread may ask."""
        return sum(batch.has_begun and batch.ending is None for batch in dict.fromkeys(list(self._sent.values())))

    def capacity(self, queue: str, now: float) -> int:
        """Return how many jobs from *queue* may be taken in hand beside those that are, at most."""
        return self._missing(self._lane.capacity(queue, now))

    def room(self, queue: str | None, now: float, *, to_run_dry: bool) -> int:
        """Return how many jobs to fetch now: for each batch that may run there, and to fill the one that has begun."""
        return self._missing(self._lane.room(queue, now, to_run_dry=to_run_dry))

    def put(self, jobs: Sequence[Job], now: float) -> None:
        """Gather jobs, and send off the batches that are full. A suspect goes by itself."""
        for job in jobs:
            if job.lease.is_suspect:
                self._send([job], now)
                continue
            if job.handler is not self._handler:
                self._send_all(now)
                self._handler = job.handler
            self.gathered.append(job)
            self._came_at[job] = now
        self.gathered.sort(key=lambda job: self._ranks[job.lease.queue])
        self._send_full(now)

    def wait_s(self, now: float) -> float:
        """Return the seconds until `send_due` has something to do; infinite when nothing is gathered."""
        return max(0.0, self._send_at - now)

    def send_due(self, now: float) -> None:
        """Send off what is gathered if the first of it has waited long enough."""
        if now >= self._send_at:
            self._send_all(now)

    def note_starting(self) -> list[Lease]:
        """Return the leases of which the server is to be told that they begin; `start_told` comes next."""
        self._told = list(self.starting)
        return [job.lease for batch in self._told for job in batch.members if not job.is_marked]

    def start_told(self, now: float) -> None:
        """Have those begin of which the server was told."""
        for batch in self._told:
            for job in batch.members:
                job.is_marked = True
            self.starting.remove(batch)
            self._lane.put([batch], now)
        self._told = []

    def collected(self, jobs: Sequence[Job], now: float) -> None:
        """Note that jobs have ended; with the last of a batch its place is free."""
        for job in jobs:
            if (batch := self._said(job)) is not None:
                self._lane.collected([batch], now)

    def let_go(self, jobs: Sequence[Job]) -> None:
        """Let go of jobs that are in hand."""
        for job in jobs:
            if (batch := self._said(job)) is not None:
                batch.is_abandoned = True
                if batch in self.starting:
                    self.starting.remove(batch)
                else:
                    self._lane.let_go([batch])
        self._forget(jobs)

    def cancel(self, jobs: Sequence[Job], order: Order) -> list[Job]:
        """End those that are gathered, and return them; others are told. A batch is interrupted if nobody wants it."""
        here = [job for job in jobs if job.lease not in self._sent]
        for job in here:
            job.ending = Ending.RELEASE
        self._forget(here)
        by_batch: dict[Batch, set[Job]] = {}
        for job in jobs:
            if (batch := self._sent.get(job.lease)) is not None:
                by_batch.setdefault(batch, set()).add(job)
        for batch, told in by_batch.items():
            if all(each.order is not None or each.ending is not None or each in told for each in batch.members):
                self._lane.cancel([batch], order)
            else:
                for each in told:
                    each.tell(order)
        return here

    def abandon(self, jobs: Sequence[Job]) -> None:
        """Leave them to their handlers: none of batches can be ended by force."""

    def take_back(self) -> list[Job]:
        """Return those that have not gone to the executor; they won't run here."""
        return [*self.gathered, *members_of(self.starting)]

    def stalled(self, _now: float) -> list[Job]:
        """Return nothing: those that are gathered don't wait for long, and batches wait in the executor's lane."""
        return []

    def _missing(self, places: int) -> int:
        # At most as many again as can run: a batch is much work.
        places = max(0, min(places, self._lane.executor.size) - len(self.starting))
        if self.gathered and not places:
            places = 1
        return max(0, places * self._size - len(self.gathered))

    @property
    def _size(self) -> int:
        size = self._handler.policy.batch
        assert size is not None, "it would be in another lane"
        return size

    def _send_all(self, now: float) -> None:
        going, self.gathered = self.gathered, []
        if going:
            self._send(going, now)
        self._note_first()

    def _send_full(self, now: float) -> None:
        full = len(self.gathered) // self._size * self._size
        going, self.gathered = self.gathered[:full], self.gathered[full:]
        for first in range(0, full, self._size):
            self._send(going[first : first + self._size], now)
        self._note_first()

    def _send(self, jobs: Sequence[Job], now: float) -> None:
        batch = Batch(jobs, self.kind)
        for job in jobs:
            self._sent[job.lease] = batch
            self._came_at.pop(job, None)
        is_known = all(job.is_marked for job in jobs)
        if not is_known and (batch.lease.is_suspect or self._lane.idle > len(self.starting)):
            self.starting.append(batch)
        else:
            self._lane.put([batch], now)

    def _said(self, job: Job) -> Batch | None:
        """Note that a job has left; return its batch if it was the last of it."""
        batch = self._sent.pop(job.lease, None)
        if batch is None:
            return None
        batch.unsaid -= 1
        return None if batch.unsaid else batch

    def _forget(self, jobs: Iterable[Job]) -> None:
        leaving = set(jobs)
        self.gathered = [job for job in self.gathered if job not in leaving]
        for job in leaving:
            self._came_at.pop(job, None)
        self._note_first()

    def _note_first(self) -> None:
        self._send_at = min(self._came_at.values(), default=inf) + self._handler.policy.wait_s
