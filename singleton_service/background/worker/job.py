"""A task on its way through this process, and how it ended."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.codec import has_unique_key

if TYPE_CHECKING:
    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.task_queue.lease import Lease

    from .seat import Order


class Ending(Enum):
    """What is to be reported of a job."""

    COMPLETE = "complete"
    RETRY = "retry"
    BURY = "bury"
    HOLD = "hold"
    RELEASE = "release"


class Job:
    """One leased task. A plain class with slots, for one is made per task.

    Written by one thread at a time: the dispatcher, then the executor that runs it, then the dispatcher again.

    Attributes:
        handler: who does it; known before an executor has it.
        kind: in which lane it waits for a place, that of a kind of place or of a batch handler; None when nobody here
            can do it.
        is_marked: the server knows that it has begun: from then on a crash counts.
        has_begun: the handler was called.
        ending: None while it waits or runs.
        report: what goes with the ending: the record, the error or the reason, as bytes.
        result: what the handler returned, and
        error: what the attempt failed with, until hooks were told.
        delay_ms: until the retry.
        stuck_at: where the handler was when it was given up, as a traceback.
        run_s: how long the handler took, seconds.
        deadline: when its time limit is over, time.monotonic() seconds; infinity without one.
        order: why it is to be interrupted, or was.
        is_abandoned: it was given up, or its lease handed back, while it ran; whatever comes of it is dropped.
    """

    __slots__ = (
        "deadline",
        "delay_ms",
        "ending",
        "error",
        "handler",
        "has_begun",
        "is_abandoned",
        "is_marked",
        "kind",
        "lease",
        "name",
        "order",
        "reason",
        "report",
        "result",
        "run_s",
        "stuck_at",
    )

    def __init__(self, lease: Lease, *, is_marked: bool) -> None:
        self.lease = lease
        self.handler: Handler
        self.kind: str | None = None
        self.name = ""
        self.is_marked = is_marked
        self.has_begun = False
        self.is_abandoned = False
        self.deadline = math.inf
        self.order: Order | None = None
        self.ending: Ending | None = None
        self.report = b""
        self.result: Any = None
        self.error: BaseException | None = None
        self.reason = ""
        self.delay_ms = 0
        self.run_s = 0.0
        self.stuck_at: str | None = None

    @property
    def keeps_key(self) -> bool:
        """Whether its task has a unique key: given up it counts as running until its handler ends, as it does run."""
        return has_unique_key(self.lease.body)

    def tell(self, order: Order) -> None:
        """Note why it is interrupted."""
        self.order = order
        self.lease.is_cancelled = True
