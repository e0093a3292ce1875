"""Where handlers run: what a dispatcher asks of threads, of the event loop and of processes alike."""

from __future__ import annotations

import logging
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections import deque

    from .job import Job
    from .seat import Order

logger = logging.getLogger("singleton_service.worker")

Kind: TypeAlias = Literal["thread", "async", "process"]


class Executor(Protocol):
    """Runs the handlers of one kind, at most `size` of them at once, in the order in which their jobs came.

    It is made with two things that all executors of a crew share: `done`, a deque of the jobs that have ended, and
    `ring`, to be called after something was appended to it. Of each job that was submitted and not taken back it owes
    the dispatcher one thing in `done`: the job itself, when its handler has ended, with `ending` and all that goes with
    it; or, when the handler can't be stopped, `Execution.give_up(job)`, once `job.is_abandoned` is set, and when it has
    ended at last what `Execution.overdue(job)` gives. A job that the dispatcher has abandoned meanwhile is dropped with
    a word in the log. `job.has_begun` is set as the handler is called: from then on a crash counts.

    The dispatcher calls `submit`, `cancel` and `take_back`, which return at once; the crew starts and closes,
    each once; what is left may be called by any thread.
    """

    @property
    def kind(self) -> Kind:
        """Which handlers run here."""

    @property
    def size(self) -> int:
        """How many run at once."""

    def start(self) -> None:
        """Get ready to run jobs."""

    def submit(self, job: Job) -> None:
        """Have a job run as soon as there is a place, first come first served."""

    def cancel(self, job: Job, order: Order) -> None:
        """Interrupt the job if its handler runs; if it has not begun, it won't be. May be said more than once."""

    def abandon(self, job: Job) -> None:
        """End the job's handler by force, where that can be done: its task is about to be handed back."""

    def take_back(self) -> list[Job]:
        """Return the jobs that have not begun, in their order; they won't run here."""

    def close(self) -> None:
        """Let each place end after the job it has now. What was abandoned may be ended by force."""

    def join(self, timeout_s: float) -> None:
        """Wait for the places to end, at most *timeout_s* for all of them."""

    def alive(self) -> list[str]:
        """Return the names of the places that live, stragglers of a stop included."""

    @property
    def is_callers(self) -> bool:
        """Whether the caller is a handler that runs here."""


def take_all(inbox: deque[Job]) -> list[Job]:
    """Return all jobs that nobody has taken from *inbox* meanwhile, in their order."""
    taken: list[Job] = []
    with suppress(IndexError):
        while True:
            taken.append(inbox.popleft())
    return taken


def tell_of_drop(job: Job) -> None:
    """Say in the log that what came of a job is dropped, for its task may run elsewhere by now."""
    logger.warning("task %s finished after it had been handed back; its outcome was dropped", job.lease.id)


executor_here: ContextVar[Executor | None] = ContextVar("singleton_service_executor", default=None)
"""Whose handler is running: a thread's, and that of the coroutines and helper threads it hands work to."""
