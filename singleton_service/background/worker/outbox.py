"""What a dispatcher has to tell the queue and has not been answered about."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.errors import QueueUnavailableError, TaskQueueError

from .job import Ending
from .reports import releases_of, reports_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.leases import Leases
    from singleton_service.background.task_queue.link import Command, Link

    from .job import Job
    from .reports import Report
    from .stats import WorkerCounters

logger = logging.getLogger("singleton_service.worker")


class Outbox:
    """Reports until they are answered. Used by the dispatcher's thread alone; true while there are any."""

    def __init__(self, client: QueueClient, leases: Leases, counters: WorkerCounters) -> None:
        self._client = client
        self._leases = leases
        self._counters = counters
        self._pending: list[Report] = []

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def unsaid(self) -> int:
        """How many jobs' ends the queue has not been told of."""
        return sum(len(report.jobs) for report in self._pending if report.ending is not Ending.RELEASE)

    def report(self, jobs: Iterable[Job]) -> None:
        """Take jobs that have ended."""
        self._pending += reports_of(jobs, self._client)

    def release(self, jobs: Iterable[Job]) -> None:
        """Take jobs that are to be handed back, whatever state they are in."""
        self._pending += releases_of(jobs, self._client)

    def commands(self) -> list[Command]:
        """Return what to send."""
        return [report.command() for report in self._pending]

    def settle(self, replies: Sequence[Any]) -> None:
        """Take note of what the server said to all of `commands`, in their order; further replies are another's."""
        reports, self._pending = self._pending, []
        for report, reply in zip(reports, replies, strict=False):
            self._settle(report, reply)

    def doubt(self) -> None:
        """Say that the answer was lost: all may have been heard."""
        for report in self._pending:
            report.again = True

    def send_one_by_one(self, link: Link) -> None:
        """After the server refused something: find out what, and give that up. Others may be left to say."""
        self._pending = [single for report in self._pending for single in report.split()]
        while self._pending:
            single = self._pending[0]
            single.again = True
            try:
                replies = link.run([single.command()])
            except QueueUnavailableError:
                break
            except TaskQueueError:
                logger.exception("the outcome of task %s can't be stored; the task runs again", single.jobs[0].lease.id)
                self._leases.drop(single.leases)
            else:
                self._client.outage.over()
                self._settle(single, replies[0])
            del self._pending[0]

    def _settle(self, report: Report, reply: Any) -> None:
        self._leases.drop(report.leases)
        for job in report.count(reply, self._counters):
            logger.warning(
                "task %s (%s) is not this worker's any more; its outcome was refused", job.lease.id, job.name
            )
