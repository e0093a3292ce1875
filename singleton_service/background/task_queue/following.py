"""Looking at one task until it has ended: at once, when there is news, and at the end of one's patience."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from . import checks
from .availability import guarded
from .codec import decode_progress, decode_task
from .errors import QueueUnavailableError
from .ids import split_id
from .opened import Opened
from .outcome import has_ended
from .records import Task, TaskStatus
from .results import LOOK_ANYWAY_S
from .waiters import LoopWaiter, ThreadWaiter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from .waiters import Heard


class Following(Opened):
    """The part of TaskQueueService that others wait with. What waits is not guarded: after a stop it starts nothing."""

    @classmethod
    @guarded
    def _be_started(cls) -> None:
        """Start everything, before what is not guarded is called."""

    @classmethod
    @guarded
    async def _be_started_async(cls) -> None:
        """Start everything; no event loop waits for it."""

    @classmethod
    def _read_task(cls, task_id: str) -> Task | None:
        parts = split_id(task_id)
        if parts is None:
            return None
        client = cls._open_client()
        (reply,) = client.read([client.protocol(parts[0]).status([parts[1]])])
        return decode_task(*parts, reply)

    @classmethod
    def _look_again(cls, task_id: str) -> Task | None:
        """Read the task for somebody who has waited: a connection that died meanwhile is no reason to give up."""
        try:
            return cls._read_task(task_id)
        except QueueUnavailableError:
            return cls._read_task(task_id)

    @classmethod
    def _follow(
        cls, task_id: str, timeout: float | None, *, progress: bool = False
    ) -> Generator[Task | None, None, None]:
        """Yield the task as it stands: now, when there is news, and for the last time when *timeout* is over.

        Whoever has seen enough closes it. None is a task that nobody knows.
        """
        patience = _Patience(timeout, progress=progress)
        parts = split_id(task_id)
        task = cls._read_task(task_id)
        yield task
        if parts is None or patience.left_s <= 0:
            return
        with ThreadWaiter(cls._open_endings(), *parts, wants_progress=progress) as waiter:
            while patience.left_s > 0:
                heard = waiter.wait(patience.next_s)
                reported = _with_progress(task, heard)
                if _must_look(task, heard):
                    task = cls._look_again(task_id)
                    if reported and has_ended(task):
                        yield reported
                    yield task
                elif reported:
                    task = reported
                    yield task

    @classmethod
    async def _follow_async(
        cls,
        task_id: str,
        timeout: float | None,  # noqa: ASYNC109 - its end is no error here
        *,
        progress: bool = False,
    ) -> AsyncGenerator[Task | None, None]:
        """Yield as `_follow` does; no event loop waits for it."""
        patience = _Patience(timeout, progress=progress)
        parts = split_id(task_id)
        errands = cls._open_errands()
        task = await errands.run(cls._read_task, task_id)
        yield task
        if parts is None or patience.left_s <= 0:
            return
        with LoopWaiter(cls._open_endings(), *parts, wants_progress=progress) as waiter:
            while patience.left_s > 0:
                heard = await waiter.wait(patience.next_s)
                reported = _with_progress(task, heard)
                if _must_look(task, heard):
                    task = await errands.run(cls._look_again, task_id)
                    if reported and has_ended(task):
                        yield reported
                    yield task
                elif reported:
                    task = reported
                    yield task


class _Patience:
    """How long somebody waits. Who wants to see progress looks now and then, for a report may be lost."""

    def __init__(self, timeout: float | None, *, progress: bool) -> None:
        self._ends_at = float("inf") if timeout is None else time.monotonic() + checks.check_delay("timeout", timeout)
        self._longest_s = LOOK_ANYWAY_S if progress else float("inf")

    @property
    def left_s(self) -> float:
        """Seconds left in all."""
        return self._ends_at - time.monotonic()

    @property
    def next_s(self) -> float:
        """Seconds to wait before looking again."""
        return max(0.0, min(self.left_s, self._longest_s))


def _with_progress(task: Task | None, heard: Heard) -> Task | None:
    """Return the task with the progress that was heard of, if that is later than what is known."""
    if task is None or heard.note is None:
        return None
    progress = decode_progress(heard.note)
    if task.progress is not None and task.progress.updated_at >= progress.updated_at:
        return None
    return replace(task, status=TaskStatus.RUNNING, progress=progress, eta=None, held_reason=None)


def _must_look(task: Task | None, heard: Heard) -> bool:
    # The report of a task that is known to run says all there is to say.
    return heard.is_news or heard.note is None or task is None or task.status is not TaskStatus.RUNNING
