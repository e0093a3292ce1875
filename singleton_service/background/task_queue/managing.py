"""Changing what lies in the queue: cancel, retry, delete, pause, purge, limit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from . import checks, listing
from .availability import guarded
from .ids import check_queue, join_id, split_id
from .opened import Opened
from .records import TaskStatus
from .scripts import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .link import Command
    from .protocol import Protocol

logger = logging.getLogger("singleton_service.task_queue")

_NOT_STARTED = (TaskStatus.PENDING, TaskStatus.RETRYING)


class Managing(Opened):
    """The part of TaskQueueService for people and programs that look after a queue.

    Each method raises QueueUnavailableError when the server is not there, and ValueError for a bad queue name.
    """

    @classmethod
    @guarded
    def cancel_task(cls, task_id: str) -> bool:
        """Cancel a task that has not ended; False when it has, or nobody knows it.

        One that does not run is cancelled when this returns. One that runs is not run again, and its worker interrupts
        its handler within a second, as at the end of its time limit: it ends as cancelled when its handler does, or as
        completed if that completes all the same. In a loop with `get_next_task()` nobody interrupts it.
        """
        parts = split_id(task_id)
        if parts is None:
            return False
        queue, uid = parts
        return bool(cls._ask(queue, lambda protocol: protocol.cancel([uid])) != b"0")

    @classmethod
    @guarded
    def cancel_pending(cls, names: Iterable[str] | None = None, queue: str | None = None) -> int:
        """Cancel what has not started, of these task names and this queue or of all; return how many."""
        return sum(
            cls._ask(name, lambda protocol, uids=uids: protocol.cancel(uids)).count(b"1")  # type: ignore[misc]
            for status in _NOT_STARTED
            for name, uids in cls._listed(status, names, queue)
        )

    @classmethod
    @guarded
    def retry_task(cls, task_id: str) -> bool:
        """Put a failed task back, with all its retries before it; False when it has not failed.

        False, too, with a line in the log, when another task has its unique key by now.
        """
        parts = split_id(task_id)
        if parts is None:
            return False
        queue, uid = parts
        return cls._revive(queue, [uid]) == 1

    @classmethod
    @guarded
    def retry_failed(cls, names: Iterable[str] | None = None, queue: str | None = None) -> int:
        """Put failed tasks back, of these task names and this queue or all; return how many.

        Those whose unique key another task has are skipped, and counted in the log.
        """
        return sum(cls._revive(name, uids) for name, uids in cls._listed(TaskStatus.FAILED, names, queue))

    @classmethod
    @guarded
    def delete_failed(cls, names: Iterable[str] | None = None, queue: str | None = None) -> int:
        """Forget failed tasks, of these task names and this queue or all; return how many. They are gone for good."""
        return sum(
            cls._ask(name, lambda protocol, uids=uids: protocol.delete(uids)).count(b"1")  # type: ignore[misc]
            for name, uids in cls._listed(TaskStatus.FAILED, names, queue)
        )

    @classmethod
    @guarded
    def delete_task(cls, task_id: str) -> bool:
        """Forget a task that has ended, its result included; False when it has not, or nobody knows it."""
        parts = split_id(task_id)
        if parts is None:
            return False
        queue, uid = parts
        return bool(cls._ask(queue, lambda protocol: protocol.delete([uid])) == b"1")

    @classmethod
    @guarded
    def pause_queue(cls, queue: str) -> bool:
        """Hand out no more tasks of a queue, until `resume_queue`; False when it was paused. Running ones go on."""
        return bool(cls._ask(check_queue(queue), lambda protocol: protocol.pause(paused=True)))

    @classmethod
    @guarded
    def resume_queue(cls, queue: str) -> bool:
        """Hand out tasks of a paused queue again; False when it was not paused."""
        return bool(cls._ask(check_queue(queue), lambda protocol: protocol.pause(paused=False)))

    @classmethod
    @guarded
    def purge_queue(cls, queue: str) -> int:
        """Cancel everything in a queue that has not started, and return how many tasks that were."""
        cancelled, more = 0, 1
        while more:
            number, more = cls._ask(check_queue(queue), lambda protocol: protocol.purge(MAX_BATCH))
            cancelled += number
        return cancelled

    @classmethod
    @guarded
    def set_queue_limits(
        cls, queue: str, max_running: int | None = None, rate: int | None = None, per_seconds: float = 1
    ) -> None:
        """Limit a queue, for all its workers together; None lifts a limit. Both are set anew with each call.

        What runs goes on. Starts are spread evenly: 10 in 60 seconds are one every 6 seconds. A task counts as started,
        and as running, from the moment a worker has it.

        Args:
            queue: its name.
            max_running: how many tasks of it may run at once, 1 to 1,000,000.
            rate: how many may start in any *per_seconds*, 1 to 1,000,000.
            per_seconds: from 0.001 to a hundred years.
        """
        pace = checks.check_limits(max_running, rate, per_seconds)
        cls._ask(check_queue(queue), lambda protocol: protocol.limit(pace))

    @classmethod
    @guarded
    def set_key_limits(
        cls, queue: str, max_running: int | None = None, rate: int | None = None, per_seconds: float = 1
    ) -> None:
        """Limit what each `limit_key` of a queue may do, each on its own; None lifts a limit.

        All as for `set_queue_limits`, which holds beside it. Keys take turns with or without limits.
        """
        pace = checks.check_limits(max_running, rate, per_seconds)
        cursor = b"new"
        while cursor:
            cursor = cls._ask(
                check_queue(queue),
                lambda protocol, cursor=cursor: protocol.limit_keys(pace, cursor),  # type: ignore[misc]
            )

    @classmethod
    def _revive(cls, queue: str, uids: Sequence[str]) -> int:
        answers = cls._ask(queue, lambda protocol: protocol.revive(uids))
        taken = {uid: answer.decode() for uid, answer in zip(uids, answers, strict=True) if answer not in {b"0", b"1"}}
        for uid, holder in list(taken.items())[:1]:
            logger.warning(
                "%d failed tasks of queue %r were not put back, for others have their unique keys; %s waits for %s",
                len(taken),
                queue,
                join_id(queue, uid),
                join_id(queue, holder),
            )
        return sum(answer == b"1" for answer in answers)

    @classmethod
    def _listed(
        cls, status: TaskStatus, names: Iterable[str] | None, queue: str | None
    ) -> Iterator[tuple[str, list[str]]]:
        """Yield queue and uids of tasks, a page at a time."""
        client = cls._open_client()
        queues = client.queues() if queue is None else [check_queue(queue)]
        wanted_names = None if names is None else set(names)
        for name in queues:
            cursor: str | None = None
            while True:
                page = listing.list_tasks(client, [name], listing.Wanted(status), MAX_BATCH, cursor)
                uids = [
                    task.id.rpartition(".")[2]
                    for task in page.tasks
                    if wanted_names is None or task.name in wanted_names
                ]
                if uids:
                    yield name, uids
                cursor = page.cursor
                if cursor is None:
                    break

    @classmethod
    def _ask(cls, queue: str, make: Callable[[Protocol], Command]) -> Any:
        """Send a command that changes nothing the second time."""
        client = cls._open_client()
        protocol = client.protocol(queue)
        return client.persist(queue, make(protocol), looks=False)
