"""The jobs a dispatcher has in hand: those that wait for a place to run, and those that run."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .batch import Batch, members_of
from .batch_lane import BatchLane
from .job import Job
from .lane import Lane
from .lookahead import HORIZON_S
from .routing import Router
from .seat import Order

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable, Mapping, Sequence

    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.task_queue.lease import Lease

    from .executor import Executor


class InHand:
    """Jobs from fetch to acknowledgement, a lane for each executor, and one before it for each batch handler.

    Used by the dispatcher's thread alone; `running` may be asked by any.
    """

    def __init__(
        self,
        executors: Iterable[Executor],
        handlers: Mapping[str, Handler],
        done: deque[Job],
        ranks: Mapping[str, int],
    ) -> None:
        self._executors = {str(executor.kind): Lane(executor, ranks) for executor in executors}
        self._batches: dict[str, BatchLane] = {}
        self._batch_kinds: set[str] = set()
        self._lanes: dict[str, Lane | BatchLane] = dict(self._executors)
        self._ranks = ranks
        self._handlers = handlers
        self._router = Router(handlers)
        self._done = done
        self._jobs: dict[Lease, Job] = {}
        self._suspect: Lease | None = None
        self._used: dict[str, Lane | BatchLane] = {}
        # The tasks of each lane, a line each.
        self._names: dict[str, bytes] = {}
        self._handlers_seen = -1

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def waiting(self) -> bool:
        """Whether any may still wait for a place to run; one that is gathered waits for others."""
        return any(lane.waiting for lane in self._executors.values()) or any(
            lane.starting for lane in self._batches.values()
        )

    @property
    def has_suspect(self) -> bool:
        """Whether one of them is a suspect; there is never more than one."""
        return self._suspect in self._jobs

    @property
    def awaits_threads_work(self) -> bool:
        """Whether there is nothing, and what comes may be for a pool thread."""
        self._used_lanes()
        return not self._jobs and "thread" in self._names

    @property
    def running(self) -> dict[str, int]:
        """How many handlers of each kind run now."""
        counts = dict.fromkeys(self._executors, 0)
        for job in list(self._jobs.values()):
            if job.kind in counts and job.has_begun and job.ending is None:
                counts[job.kind] += 1
        for lane in list(self._batches.values()):
            counts[lane.kind] += lane.running
        return counts

    @property
    def idle(self) -> int:
        """How many of the next jobs begin at once, whatever kind they are."""
        lanes = self._used_lanes()
        return min(lane.idle for name, lane in self._executors.items() if name in lanes or name in self._batch_kinds)

    def rooms(self, queue: str | None, now: float, *, to_run_dry: bool) -> dict[str, int]:
        """Return how many jobs of each lane to fetch now, if it is from *queue*."""
        return {name: lane.room(queue, now, to_run_dry=to_run_dry) for name, lane in self._used_lanes().items()}

    def has_plenty(self, queue: str | None, now: float) -> bool:
        """Whether of one kind so much waits that nothing is wanted from *queue* but for others."""
        return any(lane.has_plenty(queue, now) for lane in self._executors.values())

    def narrow(self, queue: str, number: int, now: float) -> dict[str, tuple[int, bytes]]:
        """Return the lanes that can't take *number* jobs from *queue*: how many they can, and their tasks' names."""
        capacities = {name: lane.capacity(queue, now) for name, lane in self._used_lanes().items()}
        return {
            name: (capacity, self._names[name])
            for name, capacity in capacities.items()
            if capacity < number and name in self._names
        }

    def look_again_in_s(self, now: float) -> float:
        """Return the seconds until waiting jobs may have to be taken back, or a place that begins nothing be tried.

        Or until some that are gathered have waited for others long enough.
        """
        gathered_s = min((lane.wait_s(now) for lane in self._batches.values()), default=inf)
        if self.waiting:
            return min(HORIZON_S, gathered_s)
        return min(gathered_s, *(lane.trial_in_s(now) for lane in self._executors.values()))

    def send_gathered(self, now: float) -> list[Job]:
        """Send off what has waited for others long enough; what may not begin is returned, to be handed back."""
        if self._batches and self.has_suspect:
            # A suspect is the only new start while it lasts.
            return [job for lane in self._batches.values() for job in lane.gathered]
        for lane in self._batches.values():
            lane.send_due(now)
        return []

    def unfinished(self) -> list[Job]:
        """Return the jobs whose handlers have not ended."""
        return [job for job in self._jobs.values() if job.ending is None]

    def add(self, leases: Sequence[Lease], marked: int, now: float) -> list[Job]:
        """Take leases from one queue in hand, and return those for which there is no room.

        The server counts the first *marked* as begun.
        """
        accepted: dict[str, list[Job]] = {}
        room: dict[str, int] = {}
        turned_away = []
        for n, lease in enumerate(leases):
            job = Job(lease, is_marked=n < marked)
            kind = self._router.route(job)
            if kind is None:
                self._done.append(job)
            else:
                if kind not in room:
                    room[kind] = self._lane_of(job.handler).capacity(lease.queue, now)
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
        by_kind: dict[str, list[Job]] = {}
        while done and len(ended) < limit and size < max_bytes:
            job = done.popleft()
            if isinstance(job, Batch):
                done.extendleft(reversed(job.members))
                continue
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
            self._lanes[kind].collected(jobs, now)
        return ended

    def note_begun(self) -> list[Lease]:
        """Return the leases whose handlers have begun since the last call, still run, and are not counted yet.

        And those of batches that begin as soon as they are: `start_told` is called when the server knows.
        """
        starting = [lease for lane in self._batches.values() for lease in lane.note_starting()]
        return starting + [
            job.lease
            for lane in self._executors.values()
            for job in members_of(lane.note_begun())
            if job.lease in self._jobs and not job.is_marked
        ]

    def start_told(self, now: float) -> None:
        """The server knows of all that the last `note_begun` returned."""
        for lane in self._batches.values():
            lane.start_told(now)

    def cancel(self, queue: str, uids: Iterable[str]) -> None:
        """Interrupt these tasks where they run; those that wait for a place won't be begun.

        To be said again until they end: one may begin just now.
        """
        told = set(uids)
        jobs = [job for job in self.unfinished() if job.lease.queue == queue and job.lease.uid in told]
        self.interrupt(jobs, Order.CANCEL)

    def interrupt(self, jobs: Iterable[Job], order: Order) -> None:
        """Interrupt the handlers of jobs that have not ended; those that have not begun won't be."""
        for kind, told in _by_kind(jobs).items():
            self._done += self._lanes[kind].cancel(told, order)

    def abandon(self, jobs: Iterable[Job]) -> None:
        """End by force what can be, before its task is handed back."""
        for kind, late in _by_kind(jobs).items():
            self._lanes[kind].abandon(late)

    def take_back(self) -> list[Job]:
        """Take back what has not begun, from all lanes."""
        return [job for lane in self._lanes.values() for job in lane.take_back()]

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

    def _used_lanes(self) -> dict[str, Lane | BatchLane]:
        """Return the lanes of which there are handlers: for the others nothing needs to be fetched."""
        if len(self._handlers) != self._handlers_seen:
            self._handlers_seen = len(self._handlers)
            self._used = {name: lane for name, lane in self._executors.items() if name == "thread"}
            names: dict[str, list[str]] = {}
            for handler in tuple(self._handlers.values()):
                self._lane_of(handler)
                names.setdefault(handler.lane, []).append(handler.name)
            self._names = {lane: "\n".join(of_it).encode() for lane, of_it in names.items()}
        return self._used

    def _lane_of(self, handler: Handler) -> Lane | BatchLane:
        lane = self._used.get(handler.lane) or self._lanes.get(handler.lane)
        if lane is None:
            lane = self._batches[handler.lane] = BatchLane(self._executors[handler.kind], handler, self._ranks)
            self._lanes[handler.lane] = lane
            self._batch_kinds.add(handler.kind)
        self._used[handler.lane] = lane
        return lane


def _by_kind(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    by_kind: dict[str, list[Job]] = {}
    for job in jobs:
        if job.kind is not None:
            by_kind.setdefault(job.kind, []).append(job)
    return by_kind
