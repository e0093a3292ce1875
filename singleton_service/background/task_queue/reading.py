"""Looking at tasks: what became of them, and how many there are."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import analytics, listing
from .availability import guarded
from .following import Following
from .ids import check_queue
from .outcome import has_ended, not_ended, result_of
from .protocol import Protocol
from .records import Task, TaskPage, TaskStatus

if TYPE_CHECKING:
    from .records import Progress


class Reading(Following):
    """The part of TaskQueueService that changes nothing."""

    @classmethod
    @guarded
    def get_task_status(cls, task_id: str) -> Task | None:
        """Return the whole task as it stands now; None when nobody knows the id (any more).

        Raises:
            QueueUnavailableError: the server is not there.
        """
        return cls._read_task(task_id)

    @classmethod
    @guarded
    def get_result(cls, task_id: str, timeout: float | None = 0) -> Any:
        """Return what a task returned, waiting up to *timeout* seconds for it (None: as long as it takes).

        Raises:
            TimeoutError: it has not finished in that time.
            TaskFailedError: it failed for good.
            TaskCancelledError: it was cancelled.
            TaskExpiredError: its `expires_in` was over before it started.
            TaskNotFoundError: nobody knows it, or its result has passed its time.
            QueueUnavailableError: the server is not there, or the service was stopped meanwhile.
        """
        task = None
        with closing(cls._follow(task_id, timeout)) as tasks:
            for task in tasks:
                if has_ended(task):
                    return result_of(task_id, task)
        raise not_ended(task, task_id, timeout)

    @classmethod
    @guarded
    def list_tasks(  # noqa: PLR0913 - filters, keyword by keyword
        cls,
        *,
        status: TaskStatus | str | None = None,
        queue: str | None = None,
        name: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> TaskPage:
        """Return tasks a page at a time, in no particular order.

        A page may be short, even empty, and still have a cursor: go on until it is None. A task that is there
        throughout is returned at least once, whatever comes and goes meanwhile. A call looks at 1,000 tasks at most.

        Args:
            status: only these; held tasks are pending, and say so by their `held_reason`.
            queue: only this one; all unless given.
            name: only tasks of this name.
            tag: only tasks with this tag.
            limit: tasks a page, 1 to 1,000.
            cursor: of the page before, asked for with the same status and queue; `limit` may differ.

        Raises:
            ValueError, TypeError: an argument can't be used.
            QueueUnavailableError: the server is not there.
        """
        wanted = listing.wanted_tasks(status, name, tag)
        client = cls._open_client()
        queues = client.queues() if queue is None else [check_queue(queue)]
        return listing.list_tasks(client, queues, wanted, limit, cursor)

    @classmethod
    @guarded
    def get_active_tasks(cls) -> list[Task]:
        """Return the tasks that run now, over all queues, those that began first before others; at most 1,000.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        client = cls._open_client()
        queues, running = client.queues(), listing.Wanted(TaskStatus.RUNNING)
        found: dict[str, Task] = {}
        cursor: str | None = None
        while len(found) < listing.MAX_LIMIT:
            page = listing.list_tasks(client, queues, running, listing.MAX_LIMIT - len(found), cursor)
            found.update((task.id, task) for task in page.tasks)
            cursor = page.cursor
            if cursor is None:
                break
        return sorted(found.values(), key=lambda task: task.started_at or task.created_at)

    @classmethod
    @guarded
    def get_recent_failures(cls, limit: int = 10, queue: str | None = None) -> list[Task]:
        """Return the tasks that failed last, over all queues or one, the latest first.

        Args:
            limit: how many, 1 to 1,000.
            queue: only of this one.

        Raises:
            ValueError: limit or queue can't be used.
            QueueUnavailableError: the server is not there.
        """
        client = cls._open_client()
        listing.check_limit(limit)
        queues = client.queues() if queue is None else [check_queue(queue)]
        found = listing.latest_failed(client, queues, limit)
        return sorted(found, key=lambda task: task.completed_at or task.created_at, reverse=True)[:limit]

    @classmethod
    @guarded
    def list_queues(cls) -> list[str]:
        """Return the names of all queues that were ever used, sorted.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        return cls._open_client().queues()

    @classmethod
    @guarded
    def get_progress(cls, task_id: str) -> Progress | None:
        """Return what a task last reported; None when it reported nothing, has ended, or nobody knows it.

        What an attempt reported stays until the next one reports something.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        task = cls._read_task(task_id)
        return task.progress if task else None

    @classmethod
    @guarded
    def get_queue_stats(cls, queue: str | None = None) -> dict[str, int]:
        """Count tasks, over all queues or one, in constant time.

        `tasks_queued`, `tasks_processed`, `tasks_failed` (for good), `tasks_retried`, `tasks_recovered` (from dead
        workers), `tasks_cancelled`, `tasks_expired` and `tasks_revived` (by `retry_task`) count since the queue began,
        in the server, so that they outlive every process; `pending_tasks`, `delayed_tasks` (retrying ones included),
        `running_tasks`, `held_tasks`, `failed_tasks` (kept now), `results_kept`, `paused_queues` and `workers` are as
        of now.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        client = cls._open_client()
        queues = client.queues() if queue is None else [check_queue(queue)]
        replies = client.read([client.protocol(name).stats() for name in queues])
        counted = [client.protocol(name).counted(reply) for name, reply in zip(queues, replies, strict=True)]

        def total(*names: str) -> int:
            return sum(counts.get(name, 0) for counts in counted for name in names)

        return {
            "tasks_queued": total("total_enqueued"),
            "tasks_processed": total("total_completed"),
            "tasks_failed": total("total_failed"),
            "tasks_retried": total("total_retried"),
            "tasks_recovered": total("total_recovered"),
            "tasks_cancelled": total("total_cancelled"),
            "tasks_expired": total("total_expired"),
            "tasks_revived": total("total_revived"),
            "pending_tasks": total("ready", "suspects", "waiting"),
            "delayed_tasks": total("due"),
            "running_tasks": total("running"),
            "held_tasks": total("held"),
            "failed_tasks": total("dead"),
            "results_kept": total("finished"),
            "paused_queues": total("paused"),
            "workers": max((counts["workers"] for counts in counted), default=0),
        }

    @classmethod
    @guarded
    def get_analytics(cls) -> dict[str, Any]:
        """Say what the queues do and did: over all at the top, and each under `queues`. JSON-able; no tasks are read.

        `total_executed`, `successful`, `failed` and `success_rate` (None when there is none) count since the queue
        began, `uptime_hours` ago. `avg_execution_time` and `max_execution_time` are seconds from the hand-out of a
        task to its completion, `avg_wait_time` and `max_wait_time` seconds from enqueue to hand-out (one task of each
        fetch tells, unless it was delayed), `peak_concurrent` is the most that were handed out at once, over all
        queues at most: all these of the last 24 hours. `queue_size` is what waits now, delayed ones included.

        `last_minute` (the last whole one), `last_hour` and `last_day` hold `enqueued`, `completed`, `failed`,
        `retried`, `cancelled`, `expired`, `per_second` (ended ones) and `success_rate`. `by_name` has `completed`,
        `failed` and `avg_execution_time` per task name, today and yesterday (UTC), of up to a hundred names a day.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        client = cls._open_client()
        queues = client.queues()
        protocols = [client.protocol(name) for name in queues]
        (now, *replies) = client.read(
            [(b"TIME",), *(each.counters() for each in protocols), *(each.stats() for each in protocols)]
        )
        now_ms = int(now[0]) * 1000 + int(now[1]) // 1000
        counters = [Protocol.tallied(reply) for reply in replies[: len(queues)]]
        waiting = [_waiting(Protocol.counted(reply)) for reply in replies[len(queues) :]]
        return {
            "at": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(),
            **analytics.summary(analytics.merged(counters), now_ms),
            "queue_size": sum(waiting),
            "queues": {
                name: {**analytics.summary(counters[n], now_ms), "queue_size": waiting[n]}
                for n, name in enumerate(queues)
            },
        }


def _waiting(counts: dict[str, int]) -> int:
    return sum(counts[name] for name in ("ready", "suspects", "waiting", "due", "held"))
