"""The jobs a dispatcher has in hand: those that wait for a thread, and those that run."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .job import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from singleton_service.background.task_queue.lease import Lease

    from .executor import Executor


class InHand:
    """Jobs from fetch to acknowledgement. Used by the dispatcher's thread alone; `running` may be asked by any."""

    def __init__(self, pool: Executor, done: deque[Job], ranks: Mapping[str, int]) -> None:
        self._pool = pool
        self._done = done
        self._rank = ranks
        self._jobs: dict[Lease, Job] = {}
        # Not known to have begun, in the order in which the pool takes them.
        self._waiting: deque[Job] = deque()
        self._suspect: Lease | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def waiting(self) -> int:
        """How many may still wait for a thread."""
        return len(self._waiting)

    @property
    def has_suspect(self) -> bool:
        """Whether one of them is a suspect; there is never more than one."""
        return self._suspect in self._jobs

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
            if job.lease.is_suspect:
                self._suspect = job.lease
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

    def collect(self, limit: int, max_bytes: int) -> list[Job]:
        """Return jobs that have ended, and let them go; those cut off before are passed over.

        At most *limit*, and none after their reports have passed *max_bytes*.
        """
        done, size = self._done, 0
        ended: list[Job] = []
        while done and len(ended) < limit and size < max_bytes:
            job = done.popleft()
            if self._jobs.pop(job.lease, None) is not None:
                ended.append(job)
                size += len(job.report)
        return ended

    def note_begun(self) -> list[Lease]:
        """Return the leases whose handlers have begun since the last call, still run, and are not counted yet."""
        begun = []
        while self._waiting and (self._waiting[0].has_begun or self._waiting[0].lease not in self._jobs):
            job = self._waiting.popleft()
            if job.lease in self._jobs and not job.is_marked:
                begun.append(job.lease)
        return begun

    def cancel(self, queue: str, uids: Iterable[str]) -> None:
        """Interrupt these tasks where they run; those that wait for a thread won't be begun.

        To be said again until they end: one may begin just now.
        """
        told = set(uids)
        for job in self._jobs.values():
            if job.lease.queue == queue and job.lease.uid in told and job.ending is None:
                self._pool.cancel(job)

    def let_go(self, jobs: Sequence[Job]) -> None:
        """Let go of jobs that have not ended: whatever comes of them is dropped."""
        for job in jobs:
            job.is_abandoned = True
            del self._jobs[job.lease]
        self._keep_waiting(jobs)

    def _waits_below(self, queue: str) -> bool:
        return any(self._rank[job.lease.queue] > self._rank[queue] for job in self._waiting)

    def _keep_waiting(self, gone: Iterable[Job]) -> None:
        leaving = set(gone)
        self._waiting = deque(job for job in self._waiting if job not in leaving)
