"""Tasks into the queue, from coroutines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .availability import guarded
from .ids import join_id
from .producing import Producing, room_by_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from .records import TaskPriority


class AsyncProducing(Producing):
    """An enqueue for coroutines that takes no thread; the other twins are in awaiting.py."""

    @classmethod
    @guarded
    async def aenqueue_task(  # noqa: PLR0913 - as its twin
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
        timeout: float | None = None,  # noqa: ASYNC109 - its twin's
        unique_key: str | None = None,
        unique: str = "drop",
        limit_key: str | None = None,
        task_id: str | None = None,
        tags: Sequence[str] = (),
        result_ttl: float | None = None,
        durability: str | None = None,
        wait_for_room: float = 0,
    ) -> str:
        """Put a task into the queue and return its id, as `enqueue_task` does."""
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
            enqueued = await cls._open_lines().line().enqueue(task)
            if enqueued is not None and (uid := enqueued.uids[0]) is not None:
                return join_id(task.queue, uid)
            if enqueued is not None and not wait_for_room:
                raise cls._full(task.queue, enqueued.unstarted)
        accepted: dict[str, str] = {}
        await cls._open_errands().run(cls._send, [task], accepted, room_by)
        return accepted[task.id]
