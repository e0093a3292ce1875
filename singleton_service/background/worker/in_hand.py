"""The jobs a dispatcher has in hand: those that wait for a thread, and those that run."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .job import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from singleton_service.background.task_queue.lease import Lease

    from .pool import ThreadPool


class InHand:
    """Jobs from fetch to acknowledgement. Used by the dispatcher's thread alone; `running` may be asked by any."""

    def __init__(self, pool: ThreadPool, queues: Sequence[str]) -> None:
        self._pool = pool
        self._rank = {queue: rank for rank, queue in enumerate(queues)}
        self._jobs: dict[Lease, Job] = {}
        # Not known to have begun, in the order in which the pool takes them.
        self._waiting: deque[Job] = deque()
        self.has_suspect = False

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def waiting(self) -> int:
        """How many may still wait for a thread."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many handlers run now."""
        return sum(job.has_begun and job.ending is None for job in list(self._jobs.values()))

    def unfinished(self) -> list[Job]:
        """Return the jobs whose handlers have not ended."""
        return [job for job in self._jobs.values() if job.ending is None]

    def add(self, leases: Sequence[Lease], marked: int) -> None:
        """Take leases in hand; the server counts the first *marked* as begun. More urgent queues go before others."""
        jobs = [Job(lease, is_marked=n < marked) for n, lease in enumerate(leases)]
        for job in jobs:
            self._jobs[job.lease] = job
            self.has_suspect = self.has_suspect or job.lease.is_suspect
        if jobs and self._waits_below(leases[0].queue):
            overtaken = self._pool.take_back()
            self._keep_waiting(overtaken)
            jobs = sorted([*jobs, *overtaken], key=lambda job: self._rank[job.lease.queue])
        for job in jobs:
            self._waiting.append(job)
            self._pool.submit(job)

    def has_overtaker(self, queue: str) -> bool:
        """Whether tasks of *queue* would overtake something that waits."""
        return self._waits_below(queue)

    def collect(self, limit: int) -> list[Job]:
        """Return jobs that have ended, and let them go; those cut off before are passed over."""
        done, ended = self._pool.done, []
        for _ in range(min(len(done), limit)):
            job = done.popleft()
            if self._jobs.pop(job.lease, None) is not None:
                ended.append(job)
                if job.lease.is_suspect:
                    self.has_suspect = False
        return ended

    def note_begun(self) -> list[Lease]:
        """Return the leases whose handlers have begun since the last call, still run, and are not counted yet."""
        begun = []
        while self._waiting and (self._waiting[0].has_begun or self._waiting[0].lease not in self._jobs):
            job = self._waiting.popleft()
            if job.lease in self._jobs and not job.is_marked:
                begun.append(job.lease)
        return begun

    def abandon(self, jobs: Iterable[Job]) -> list[Job]:
        """Let go of jobs that have not ended: whatever comes of them is dropped."""
        given = list(jobs)
        for job in given:
            job.is_abandoned = True
        self._keep_waiting(given)
        return given

    def forget(self, jobs: Iterable[Job]) -> None:
        """Their leases were handed back."""
        for job in jobs:
            self._jobs.pop(job.lease, None)

    def _waits_below(self, queue: str) -> bool:
        return any(self._rank[job.lease.queue] > self._rank[queue] for job in self._waiting)

    def _keep_waiting(self, gone: Iterable[Job]) -> None:
        leaving = set(gone)
        self._waiting = deque(job for job in self._waiting if job not in leaving)
