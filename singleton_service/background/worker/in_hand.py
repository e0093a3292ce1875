"""The jobs a dispatcher has in hand: those that wait for a place to run, and those that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .job import Ending, Job
from .lane import Lane
from .lookahead import HORIZON_S
from .routing import Router
from .seat import Order

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable, Mapping, Sequence

    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.task_queue.lease import Lease

    from .executor import Executor, Kind


class InHand:
    """Jobs from fetch to acknowledgement, a lane for each executor.

    Used by the dispatcher's thread alone; `running` may be asked by any.
    """

    def __init__(
        self,
        executors: Iterable[Executor],
        handlers: Mapping[str, Handler],
        done: deque[Job],
        ranks: Mapping[str, int],
    ) -> None:
        self._lanes: dict[Kind, Lane] = {executor.kind: Lane(executor, ranks) for executor in executors}
        self._handlers = handlers
        self._router = Router(handlers)
        self._done = done
        self._jobs: dict[Lease, Job] = {}
        self._suspect: Lease | None = None
        self._used: list[tuple[Kind, Lane]] = []
        self._handlers_seen = -1

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def waiting(self) -> bool:
        """Whether any may still wait for a place to run."""
        return any(lane.waiting for lane in self._lanes.values())

    @property
    def has_suspect(self) -> bool:
        """Whether one of them is a suspect; there is never more than one."""
        return self._suspect in self._jobs

    @property
    def running(self) -> dict[Kind, int]:
        """How many handlers of each kind run now."""
        counts = dict.fromkeys(self._lanes, 0)
        for job in list(self._jobs.values()):
            if job.kind is not None and job.has_begun and job.ending is None:
                counts[job.kind] += 1
        return counts

    @property
    def idle(self) -> int:
        """How many of the next jobs begin at once, whatever kind they are."""
        return min(lane.idle for _, lane in self._used_lanes())

    def rooms(self, queue: str | None, now: float, *, to_run_dry: bool) -> dict[Kind, int]:
        """Return how many jobs of each kind to fetch now, if it is from *queue*."""
        return {kind: lane.room(queue, now, to_run_dry=to_run_dry) for kind, lane in self._used_lanes()}

    def look_again_in_s(self, now: float) -> float:
        """Return the seconds until waiting jobs may have to be taken back, or a place that begins nothing be tried."""
        if self.waiting:
            return HORIZON_S
        return min(lane.trial_in_s(now) for lane in self._lanes.values())

    def unfinished(self) -> list[Job]:
        """Return the jobs whose handlers have not ended."""
        return [job for job in self._jobs.values() if job.ending is None]

    def add(self, leases: Sequence[Lease], marked: int, now: float) -> list[Job]:
        """Take leases from one queue in hand, and return those for which there is no room.

        The server counts the first *marked* as begun.
        """
        accepted: dict[Kind, list[Job]] = {}
        room: dict[Kind, int] = {}
        turned_away = []
        for n, lease in enumerate(leases):
            job = Job(lease, is_marked=n < marked)
            kind = self._router.route(job)
            if kind is None:
                self._done.append(job)
            else:
                if kind not in room:
                    room[kind] = self._lanes[kind].capacity(lease.queue, now)
                    accepted[kind] = []
                if len(accepted[kind]) >= room[kind]:
                    turned_away.append(job)
                    continue
                accepted[kind].append(job)
            self._jobs[lease] = job
            if lease.is_suspect:
                self._suspect = lease
        for kind, jobs in accepted.items():
            if jobs:
                self._lanes[kind].put(jobs, now)
        return turned_away

    def collect(self, limit: int, max_bytes: int, now: float) -> list[Job]:
        """Return jobs that have ended, and let them go; those cut off before are passed over.

        At most *limit*, and none after their reports have passed *max_bytes*.
        """
        done, size = self._done, 0
        ended: list[Job] = []
        by_kind: dict[Kind, list[Job]] = {}
        while done and len(ended) < limit and size < max_bytes:
            job = done.popleft()
            if job.lease not in self._jobs:
                continue
            if job.kind is not None:
                by_kind.setdefault(job.kind, []).append(job)
            if job.ending is None:
                # Given up, but its lease is kept until its handler ends. It has no place here any more.
                self._jobs[job.lease].kind = None
                continue
            del self._jobs[job.lease]
            ended.append(job)
            size += len(job.report)
        for kind, jobs in by_kind.items():
            runs_s = [job.run_s for job in jobs if job.ending not in {None, Ending.HOLD}]
            self._lanes[kind].ended(runs_s, len(jobs), now)
        return ended

    def note_begun(self) -> list[Lease]:
        """Return the leases whose handlers have begun since the last call, still run, and are not counted yet."""
        return [
            job.lease
            for lane in self._lanes.values()
            for job in lane.note_begun()
            if job.lease in self._jobs and not job.is_marked
        ]

    def cancel(self, queue: str, uids: Iterable[str]) -> None:
        """Interrupt these tasks where they run; those that wait for a place won't be begun.

        To be said again until they end: one may begin just now.
        """
        told = set(uids)
        for job in self._jobs.values():
            if job.lease.queue == queue and job.lease.uid in told and job.ending is None:
                self.interrupt(job, Order.CANCEL)

    def interrupt(self, job: Job, order: Order) -> None:
        """Interrupt the handler of a job that has not ended; if it has not begun, it won't be."""
        if job.kind is not None:
            self._lanes[job.kind].executor.cancel(job, order)

    def abandon(self, job: Job) -> None:
        """End by force what can be, before its task is handed back."""
        if job.kind is not None:
            self._lanes[job.kind].executor.abandon(job)

    def take_back(self) -> list[Job]:
        """Take back what has not begun, from all executors."""
        return [job for lane in self._lanes.values() for job in lane.executor.take_back()]

    def stalled(self, now: float) -> list[Job]:
        """Take back what waits where nothing has moved for long."""
        return [job for lane in self._lanes.values() for job in lane.stalled(now)]

    def let_go(self, jobs: Sequence[Job]) -> None:
        """Let go of jobs that have not ended: whatever comes of them is dropped."""
        for job in jobs:
            job.is_abandoned = True
            del self._jobs[job.lease]
        for kind, lane in self._lanes.items():
            lane.let_go([job for job in jobs if job.kind == kind])

    def _used_lanes(self) -> list[tuple[Kind, Lane]]:
        """Return the lanes of which there are handlers: for the others nothing needs to be fetched."""
        if len(self._handlers) != self._handlers_seen:
            self._handlers_seen = len(self._handlers)
            kinds = {handler.kind for handler in tuple(self._handlers.values())}
            self._used = [each for each in self._lanes.items() if each[0] in kinds or each[0] == "thread"]
        return self._used
