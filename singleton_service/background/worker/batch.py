"""Tasks that one call of a handler does together, on their way through this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .job import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .seat import Order


class Batch(Job):
    """To an executor one job; to the queue so many tasks. What becomes of each is written into its own job.

    Attributes:
        members: the jobs that it is made of, the most urgent first; its handler is theirs, its lease that of the first.
        unsaid: how many of them the dispatcher still has in hand.
    """

    __slots__ = ("members", "unsaid")

    def __init__(self, members: Sequence[Job], kind: str) -> None:
        first = members[0]
        super().__init__(first.lease, is_marked=True)
        self.handler, self.name, self.kind = first.handler, first.name, kind
        self.members = members
        self.unsaid = len(members)

    def tell(self, order: Order) -> None:
        """Note why all of it is interrupted."""
        self.order = order
        for each in self.members:
            if each.order is None:
                each.tell(order)


def members_of(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs that the queue knows: those of batches in their place."""
    return [each for job in jobs for each in (job.members if isinstance(job, Batch) else (job,))]
