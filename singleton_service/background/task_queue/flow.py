"""Batches of tasks one behind the other: the next is made and sent while the server works on the one before.

All that is not a plain answer, such as a refusal, silence or the end of the connection, is left to the caller: he sends
that batch again by itself, which adds nothing where it went in, and hears what is the matter.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .errors import TaskQueueError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from .client import QueueClient
    from .protocol import Enqueued
    from .requests import PreparedTask

    Batch = Sequence[PreparedTask]

# Enough that a batch costs little beside its tasks, and few enough that the server soon has something to do.
FLOW_BATCH = 250
# One that the server works on, and one that waits there.
_UNDER_WAY = 2


class Flow:
    """What one thread sends in this way. Not thread-safe, and nothing else may go over the thread's link meanwhile."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self._link = client.link
        self._under_way: deque[Batch] = deque()
        self._opening = 0

    def send(self, batches: Iterable[Batch]) -> Generator[tuple[Batch, Enqueued | None]]:
        """Send batches, each of one queue, and yield each with what became of it.

        None means that it has to be sent again. Whoever is told so may use the link: nothing is under way then.
        """
        try:
            for batch in batches:
                if self._post(batch):
                    yield from self._answers(_UNDER_WAY)
                else:
                    yield from self._answers(0)
                    yield batch, None
            yield from self._answers(0)
        finally:
            if self._under_way:
                # An answer may still come; it must not be taken for another's.
                self._link.close()

    def _post(self, batch: Batch) -> bool:
        """Send a batch on, unless its queue is yet to be made known or the server is away."""
        queue, link = batch[0].queue, self._link
        if not self._client.is_registered(queue):
            return False
        if not self._under_way and link.is_outlived:
            link.close()
        try:
            link.post([self._client.protocol(queue).enqueue([task[1:4] for task in batch])])
        except TaskQueueError:
            return False
        if self._under_way and link.openings != self._opening:
            # Somebody has closed it meanwhile: this is another one, and the answers to the others are lost.
            link.close()
            return False
        self._opening = link.openings
        self._under_way.append(batch)
        return True

    def _answers(self, left: int) -> Iterator[tuple[Batch, Enqueued | None]]:
        """Yield answers until no more than so many are under way; of a failure on, all of them."""
        under_way = self._under_way
        while len(under_way) > left:
            enqueued = self._answer()
            if enqueued is None:
                failed = [under_way.popleft()]
                while under_way:
                    enqueued = self._answer()
                    if enqueued is None:
                        failed.append(under_way.popleft())
                    else:
                        yield under_way.popleft(), enqueued
                yield from ((batch, None) for batch in failed)
                return
            yield under_way.popleft(), enqueued

    def _answer(self) -> Enqueued | None:
        """Wait for the answer to the first batch under way."""
        batch = self._under_way[0]
        try:
            reply = self._link.receive(is_due=True)
        except TaskQueueError:
            return None
        self._client.outage.over()
        return self._client.protocol(batch[0].queue).enqueued(reply, [task.uid for task in batch])
