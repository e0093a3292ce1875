"""What the dispatcher tells the queue about finished jobs: one report per queue and kind of ending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .job import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.lease import Lease
    from singleton_service.background.task_queue.link import Command
    from singleton_service.background.task_queue.protocol import Protocol

    from .job import Job
    from .stats import WorkerCounters


@dataclass(slots=True)
class Report:
    """Jobs of one queue that ended in the same way. `again`: an earlier answer may have been lost."""

    protocol: Protocol
    ending: Ending
    jobs: list[Job]
    again: bool = False

    @property
    def leases(self) -> list[Lease]:
        """The leases it gives up."""
        return [job.lease for job in self.jobs]

    def command(self) -> Command:
        """Return the command that reports them."""
        protocol, jobs = self.protocol, self.jobs
        if self.ending is Ending.COMPLETE:
            return protocol.complete([(job.lease, job.report) for job in jobs], again=self.again)
        if self.ending is Ending.RETRY:
            return protocol.retry([(job.lease, job.delay_ms, job.report) for job in jobs], again=self.again)
        if self.ending is Ending.BURY:
            return protocol.bury([(job.lease, job.report) for job in jobs], again=self.again)
        if self.ending is Ending.HOLD:
            return protocol.hold([(job.lease, job.reason, job.report) for job in jobs])
        return protocol.release([job.lease for job in jobs])

    def count(self, answer: Any, counters: WorkerCounters) -> list[Job]:
        """Count what the queue accepted, and return the jobs it refused: they were not ours any more."""
        if self.ending is Ending.RELEASE:
            return []
        accepted = [verdict != ord("0") for verdict in answer]
        number = sum(accepted)
        if self.ending is Ending.COMPLETE:
            counters.add(tasks_processed=number)
        elif self.ending is Ending.HOLD:
            # Held too long, so failed for good.
            counters.add(tasks_failed=answer.count(b"2"))
        else:
            counters.add(tasks_failed=number)
        if number == len(self.jobs):
            return []
        return [job for job, was_ours in zip(self.jobs, accepted, strict=True) if not was_ours]

    def split(self) -> list[Report]:
        """Return one report per job."""
        return [Report(self.protocol, self.ending, [job], self.again) for job in self.jobs]


def reports_of(jobs: Iterable[Job], client: QueueClient) -> list[Report]:
    """Group finished jobs."""
    groups: dict[tuple[str, Ending], list[Job]] = {}
    queue, ending, group = "", None, []
    for job in jobs:
        if job.ending is not ending or job.lease.queue != queue:
            # Mostly it is as the one before.
            queue, ending = job.lease.queue, job.ending
            assert ending is not None
            group = groups.setdefault((queue, ending), [])
        group.append(job)
    return [Report(client.protocol(queue), ending, group) for (queue, ending), group in groups.items()]


def releases_of(jobs: Iterable[Job], client: QueueClient) -> list[Report]:
    """Group jobs that are to be handed back, whatever state they are in."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.lease.queue, []).append(job)
    return [Report(client.protocol(queue), Ending.RELEASE, group) for queue, group in groups.items()]
