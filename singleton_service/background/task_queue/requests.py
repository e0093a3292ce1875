"""From the arguments of an enqueue to what is written: everything is checked here, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import checks
from .ids import given_uid, join_id, new_uid, new_uids
from .mould import TASK_ID, mould_of
from .records import TaskRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .handlers import Handler
    from .mould import Fire, Given, Mould
    from .records import TaskPriority

# Where a task's body lies is told by the time in its uid.
_UIDS_AT_ONCE = 1000


class PreparedTask(NamedTuple):
    """A task ready to be sent; `when` as enqueue.lua takes it."""

    queue: str
    uid: str
    when: bytes
    body: bytes
    durability: str | None = None

    @property
    def id(self) -> str:
        """The public id it will have."""
        return join_id(self.queue, self.uid)


def prepare(
    given: Given, handlers: Mapping[str, Handler], max_payload_bytes: int, fire: Fire | None = None
) -> PreparedTask:
    """Check what is given and write its body. What it leaves open, the task's own policy says, else the default.

    Raises:
        ValueError, TypeError: an argument can't be used; the message says which and why.
    """
    mould = mould_of(given, handlers, fire)
    task_id = given[TASK_ID]
    uid = new_uid(mould.priority) if task_id is None else given_uid(task_id)
    return _cast(mould, given[1], uid, max_payload_bytes)


def prepare_many(
    requests: Iterable[TaskRequest], handlers: Mapping[str, Handler], max_payload_bytes: int
) -> list[PreparedTask]:
    """Prepare all of an `enqueue_many`.

    Raises:
        ValueError, TypeError: one can't be used; the message says which and why.
    """
    requests = list(requests)
    uids: dict[TaskPriority, list[str]] = {}
    prepared = []
    for n, request in enumerate(requests):
        if not isinstance(request, TaskRequest):
            raise TypeError(
                f"request number {n} of enqueue_many is of type {type(request).__name__}, it must be a "
                "TaskRequest; nothing was enqueued"
            )
        try:
            mould = mould_of(request, handlers)
            if (task_id := request[TASK_ID]) is not None:
                uid = given_uid(task_id)
            else:
                priority = mould.priority
                if not uids.get(priority):
                    uids[priority] = new_uids(priority, min(len(requests) - n, _UIDS_AT_ONCE))
                uid = uids[priority].pop()
            prepared.append(_cast(mould, request[1], uid, max_payload_bytes))
        except (ValueError, TypeError) as error:
            error.add_note(f"in request number {n} of enqueue_many; nothing was enqueued")
            raise
    return prepared


def _cast(mould: Mould, payload: object, uid: str, max_payload_bytes: int) -> PreparedTask:
    handler = mould.handler
    if handler is not None and handler.form is not None:
        payload = handler.form.dump(payload)
    body = mould.head + checks.encode_payload(payload, max_payload_bytes) + mould.tail
    return PreparedTask(mould.queue, uid, mould.when, body, mould.durability)
