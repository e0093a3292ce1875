"""A lease: one task in the hands of one worker, for a limited time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ids import join_id

if TYPE_CHECKING:
    from .progress import Account


class Lease:
    """What a fetch handed out. `token` is what the server compares: a stale one changes nothing.

    A plain class with slots, for one is made per task.

    Attributes:
        fence: a number that rises with every fetch of the queue; also the server's µs since 1970 at that moment.
        body: the task as it was written at enqueue.
        retry_count: retries so far.
        crashes: how often the task went down with its worker.
        context: where it was fetched, for finishing it by id alone.
        ends_at: when the time limit of its handler is over, seconds since 1970; None without one.
        is_cancelled: its handler was told to end, by its time limit or a cancel.
        account: what was reported of its progress; None as long as nothing was.
    """

    __slots__ = (
        "account",
        "body",
        "context",
        "crashes",
        "ends_at",
        "fence",
        "is_cancelled",
        "queue",
        "retry_count",
        "token",
        "uid",
        "worker",
    )

    def __init__(  # noqa: PLR0913 - one per field
        self,
        queue: str,
        uid: str,
        fence: int,
        worker: str,
        token: bytes,
        body: bytes,
        retry_count: int,
        crashes: int,
    ) -> None:
        self.queue = queue
        self.uid = uid
        self.fence = fence
        self.worker = worker
        self.token = token
        self.body = body
        self.retry_count = retry_count
        self.crashes = crashes
        self.context: object = None
        self.ends_at: float | None = None
        self.is_cancelled = False
        self.account: Account | None = None

    @property
    def id(self) -> str:
        """The task's public id."""
        return join_id(self.queue, self.uid)

    @property
    def is_suspect(self) -> bool:
        """Whether the task went down with its worker twice already."""
        return self.crashes >= 2

    def __repr__(self) -> str:
        return f"<Lease of {self.id} fence {self.fence}>"
