"""Tasks into the queue."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from . import checks
from .availability import guarded
from .errors import (
    DurabilityError,
    EnqueueError,
    NotAcceptingError,
    QueueFullError,
    QueueUnavailableError,
    TaskQueueError,
)
from .flow import FLOW_BATCH, Flow
from .ids import join_id
from .joint import MAX_BATCH_BYTES
from .opened import Opened
from .outage import backoff_s
from .requests import PreparedTask, prepare, prepare_many
from .scripts import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from .mould import Fire, Given
    from .protocol import Enqueued
    from .records import TaskPriority, TaskRequest


class Producing(Opened):
    """The half of TaskQueueService that callers of tasks use."""

    _is_accepting: ClassVar[bool] = True
    # Whether tasks may go in past `_send`: what stands in for that in a test is to see them all.
    _has_shortcuts: ClassVar[bool] = True

    @classmethod
    @guarded
    def enqueue_task(  # noqa: PLR0913 - the one call users make; each argument is theirs
        cls,
        name: str,
        payload: Mapping[str, Any] | None = None,
        delay_seconds: float = 0,
        max_retries: int | None = None,
        *,
        queue: str | None = None,
        priority: TaskPriority | None = None,
        eta: datetime | None = None,
        expires_in: float | None = None,
        timeout: float | None = None,
        unique_key: str | None = None,
        unique: str = "drop",
        limit_key: str | None = None,
        task_id: str | None = None,
        tags: Sequence[str] = (),
        result_ttl: float | None = None,
        durability: str | None = None,
        wait_for_room: float = 0,
    ) -> str:
        """Put a task into the queue and return its id, or that of the task that has its unique key.

        What is not given, the task's own definition says where this process knows it, else: 3 retries, queue
        "default", `TaskPriority.NORMAL`.

        Args:
            name: of the handler that shall do it, at most 200 characters.
            payload: a dict of JSON values, at most 1 MiB as JSON (TASKS_MAX_PAYLOAD_BYTES).
            delay_seconds: earliest start, in seconds from now by the server's clock.
            max_retries: how often a failed attempt is tried again; 3 means 4 attempts.
            queue: letters, digits, `_.-`, at most 64. Workers take "critical", "default" and "low" unless told
                otherwise.
            priority: order within the queue.
            eta: earliest start as a point in time; a naive datetime is this process's local time. One that the clock
                skips in spring counts as if it had not been set; of one that it shows twice, `fold` says which.
            timeout: seconds an attempt may take; then its handler is interrupted and the attempt has failed. The task's
                own, or no limit, unless given.
            expires_in: seconds from now after which a task that has not started is not wanted any more.
            unique_key: taken until the task has ended; no other task of the queue has it meanwhile.
            unique: when the key is taken: "drop" enqueues nothing and returns the id of the task that has it;
                "replace" cancels that task and takes its place, unless it is running or held, else drops; "serial"
                waits until that task has ended for good, first come, first served.
            limit_key: a tenant, say. Keys take turns, however many tasks each has, and `set_key_limits` holds for each.
            task_id: the caller's own id, letters, digits, `_-`, at most 128. The same `task_id` in the same queue is
                the same task: enqueued again within 24 hours, or while it lives, it adds nothing.
            tags: up to 20 words to find it by.
            result_ttl: seconds its result is kept once it has completed, was cancelled or expired, instead of
                TASKS_RESULT_TTL_SECONDS. 0 keeps none: who waits for it at its end still gets it, and anybody who
                asks later is told that nobody knows the task. A failed task is kept all the same.
            durability: where the task is when the call returns: "memory", with the server, safe as the server's own
                settings make it; "disk", forced to the server's disk; "replica", with replicas too. TASKS_DURABILITY
                unless given.
            wait_for_room: seconds to wait for room in a full queue (TASKS_MAX_BACKLOG).

        Raises:
            ValueError, TypeError: an argument can't be used; nothing was written.
            QueueUnavailableError: no answer from the server within two seconds.
            NotAcceptingError: this process was told to take in no more; nothing was written.
            QueueFullError: the queue holds as many tasks that have not started as it may; nothing was written.
            DurabilityUnavailableError: the server can't give that durability; nothing was written.
            DurabilityError: the task is in the queue, but it was not confirmed in time that it is so safe
                (TASKS_DURABILITY_TIMEOUT_SECONDS); `task_ids` has its id.
        """
        room_by = room_by_of(wait_for_room)
        given = (
            name,
            payload,
            delay_seconds,
            max_retries,
            queue,
            priority,
            eta,
            expires_in,
            timeout,
            unique_key,
            unique,
            limit_key,
            task_id,
            tags,
            result_ttl,
            durability,
        )
        task = cls._prepare(given)
        if cls._has_shortcuts and not cls._to_confirm([task]):
            enqueued = cls._open_client().enqueue([task])
            if (uid := enqueued.uids[0]) is not None:
                return join_id(task.queue, uid)
            if not wait_for_room:
                raise cls._full(task.queue, enqueued.unstarted)
        accepted: dict[str, str] = {}
        cls._send([task], accepted, room_by)
        return accepted[task.id]

    @classmethod
    @guarded
    def enqueue_many(cls, requests: Iterable[TaskRequest], *, wait_for_room: float = 0) -> list[str]:
        """Put many tasks into the queue, by hundreds that do not wait for one another, and return their ids in order.

        Args:
            requests: all are checked before any is sent.
            wait_for_room: seconds to wait for room in full queues (TASKS_MAX_BACKLOG), altogether; what fits goes in
                meanwhile.

        Raises:
            ValueError, TypeError: one of them can't be used; nothing was written.
            QueueUnavailableError: the server is not there; nothing was acknowledged.
            QueueFullError: a queue was full; nothing went in.
            EnqueueError: the server went away, stopped confirming, or a queue was full in between; `accepted` lists
                what went in, `unconfirmed` what of that was not confirmed to be as safe as asked for.
            DurabilityUnavailableError: the server can't give the durability asked for; nothing was written.
            DurabilityError: all are in the queue, but those that `task_ids` lists were not confirmed in time.
            NotAcceptingError: this process was told to take in no more; nothing was written.
        """
        cls._check_accepting()
        room_by = room_by_of(wait_for_room)
        prepared = prepare_many(requests, cls._task_handlers, cls._open_client().settings.max_payload_bytes)
        durabilities = cls._to_confirm(prepared)
        if durabilities:
            cls._open_client().check_durability(durabilities)
        accepted: dict[str, str] = {}
        try:
            if cls._has_shortcuts and not durabilities and not cls._open_client().limits.max_backlog:
                cls._send_flowing(prepared, accepted)
            else:
                for batch in _batches(prepared, MAX_BATCH):
                    cls._send(batch, accepted, room_by)
        except DurabilityError as error:
            # The rest would be no safer, and every thousand of it would wait for the whole time.
            if len(accepted) < len({task.id for task in prepared}):
                raise EnqueueError(list(accepted.values()), str(error), error.task_ids) from error
            raise
        except TaskQueueError as error:
            if accepted:
                raise EnqueueError(list(accepted.values()), str(error)) from error
            raise
        return [accepted[task.id] for task in prepared]

    @classmethod
    def _prepare(cls, given: Given) -> PreparedTask:
        cls._check_accepting()
        return prepare(given, cls._task_handlers, cls._open_client().settings.max_payload_bytes)

    @classmethod
    def stop_accepting_tasks(cls) -> None:
        """Refuse every enqueue of this process from now on, with NotAcceptingError. Starts nothing.

        The first step of a shutdown: then wait for what runs. It is this process that takes in no more, whatever is
        stopped and started in it meanwhile; other processes enqueue as before, and workers work on. A schedule that
        comes due meanwhile is fired by another scheduler, or by this one once accepting is resumed, as it says about
        instants that were missed.
        """
        cls._is_accepting = False

    @classmethod
    def resume_accepting_tasks(cls) -> None:
        """Enqueue again, after `stop_accepting_tasks`. Starts nothing."""
        cls._is_accepting = True

    @classmethod
    def is_accepting_tasks(cls) -> bool:
        """Whether this process takes in tasks. Asks nobody: it says nothing about the server."""
        return cls._is_accepting

    @classmethod
    def _check_accepting(cls) -> None:
        if not cls._is_accepting:
            raise NotAcceptingError

    @classmethod
    def _enqueue_fires(cls, fires: Sequence[tuple[TaskRequest, Fire]]) -> list[str | Exception]:
        """Enqueue for the scheduler: each task carries which fire of which schedule it is.

        Returns:
            for each the id of the task that stands for it, or why there is none; the others are enqueued all the same.

        Raises:
            QueueUnavailableError: the server is not there; any of them may be enqueued.
            NotAcceptingError: this process was told to take in no more; nothing was written.
        """
        cls._check_accepting()
        limit = cls._open_client().settings.max_payload_bytes
        prepared: list[PreparedTask | None] = []
        errors: dict[int | str, Exception] = {}
        for place, (request, fire) in enumerate(fires):
            try:
                prepared.append(prepare(request, cls._task_handlers, limit, fire))
            except Exception as error:
                # Whatever a payload's own checks raise: the others are somebody else's.
                prepared.append(None)
                errors[place] = error
        accepted: dict[str, str] = {}
        for batch in _batches([task for task in prepared if task is not None], MAX_BATCH):
            try:
                cls._send(batch, accepted, room_by=0)
            except QueueUnavailableError:
                raise
            except DurabilityError as error:
                errors.update(dict.fromkeys(error.task_ids, error))
            except TaskQueueError as error:
                errors.update((task.id, error) for task in batch if task.id not in accepted)
        return [
            errors[place] if task is None else errors.get(task.id) or accepted[task.id]
            for place, task in enumerate(prepared)
        ]

    @classmethod
    def _send(cls, batch: Sequence[PreparedTask], accepted: dict[str, str], room_by: float) -> None:
        """Enqueue tasks of one queue, and add to *accepted* the ids that theirs go by, as they go in.

        Raises:
            QueueFullError: the queue was full until *room_by* (time.monotonic() seconds).
            DurabilityError: some that went in are less safe than they must be.
        """
        looks = 0
        while True:
            enqueued, missing = cls._offer(batch)
            refused = _noted(batch, enqueued, accepted)
            cls._check_safe(batch, enqueued, missing)
            if not refused:
                return
            left_s = room_by - time.monotonic()
            if left_s <= 0:
                raise cls._full(batch[0].queue, enqueued.unstarted)
            looks = 0 if len(refused) < len(batch) else looks + 1
            batch = refused
            time.sleep(min(left_s, backoff_s(looks)))
            cls._check_accepting()

    @classmethod
    def _send_flowing(cls, prepared: Sequence[PreparedTask], accepted: dict[str, str]) -> None:
        """Enqueue tasks as `_send` does, where nothing but the server's answer is waited for."""
        with closing(Flow(cls._open_client()).send(_batches(prepared, FLOW_BATCH))) as batches:
            for batch, enqueued in batches:
                if enqueued is None or _noted(batch, enqueued, accepted):
                    cls._send(batch, accepted, room_by=0)

    @classmethod
    def _full(cls, queue: str, unstarted: int) -> QueueFullError:
        return QueueFullError(queue, cls._open_client().limits.max_backlog, unstarted)

    @classmethod
    def _offer(cls, batch: Sequence[PreparedTask]) -> tuple[Enqueued, dict[str, str]]:
        """Send tasks of one queue; return what became of them, and why which durability was not confirmed."""
        client = cls._open_client()
        durabilities = cls._to_confirm(batch)
        if not durabilities:
            return client.enqueue(batch), {}
        protocol = client.protocol(batch[0].queue)
        command = protocol.enqueue([task[1:4] for task in batch])
        reply, missing = client.persist_confirmed(batch[0].queue, command, durabilities)
        return protocol.enqueued(reply, [task.uid for task in batch]), missing

    @classmethod
    def _to_confirm(cls, tasks: Sequence[PreparedTask]) -> set[str]:
        """Return what the server's answer alone does not say of these tasks."""
        default = cls._open_client().settings.durability
        return {asked for task in tasks if (asked := task.durability or default) != "memory"}

    @classmethod
    def _check_safe(cls, batch: Sequence[PreparedTask], enqueued: Enqueued, missing: Mapping[str, str]) -> None:
        if not missing:
            return
        default = cls._open_client().settings.durability
        unsafe = [
            join_id(task.queue, uid)
            for task, uid in zip(batch, enqueued.uids, strict=True)
            if uid is not None and (task.durability or default) in missing
        ]
        if unsafe:
            raise DurabilityError(unsafe, " and ".join(missing.values()))


def room_by_of(wait_for_room: float) -> float:
    """Return until when to wait for room, time.monotonic() seconds."""
    return time.monotonic() + checks.check_delay("wait_for_room", wait_for_room)


def _noted(batch: Sequence[PreparedTask], enqueued: Enqueued, accepted: dict[str, str]) -> list[PreparedTask]:
    """Note what went in, and return what was refused."""
    refused = []
    for task, uid in zip(batch, enqueued.uids, strict=True):
        if uid is None:
            refused.append(task)
        else:
            own = task.id
            accepted[own] = own if uid is task.uid else join_id(task.queue, uid)
    return refused


def _batches(prepared: Sequence[PreparedTask], most: int) -> Iterable[list[PreparedTask]]:
    """Split into runs of one queue each, bounded in number and bytes."""
    by_queue: dict[str, list[PreparedTask]] = {}
    for task in prepared:
        by_queue.setdefault(task.queue, []).append(task)
    for tasks in by_queue.values():
        batch: list[PreparedTask] = []
        size = 0
        for task in tasks:
            if batch and (len(batch) == most or size + len(task.body) > MAX_BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(task)
            size += len(task.body)
        yield batch
