"""From the arguments of an enqueue to what is written: everything is checked here, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from . import checks, wall_clock
from .codec import encode_body
from .ids import check_queue, given_uid, join_id, new_uid
from .records import TaskPriority, TaskRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from .handlers import Handler

DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRIES = 3
NOW = b"0"


# The arguments of an enqueue, in the order of the fields of a TaskRequest. One is not made of them just to be read.
Given: TypeAlias = tuple[
    str,
    "Mapping[str, Any] | None",
    float,
    "int | None",
    "str | None",
    "TaskPriority | None",
    "datetime | None",
    "float | None",
    "float | None",
    "str | None",
    str,
    "str | None",
    "str | None",
    "Sequence[str]",
    "float | None",
    "str | None",
]
given_in: Callable[[TaskRequest], Given] = attrgetter(*(field.name for field in fields(TaskRequest)))


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


@dataclass(frozen=True, slots=True)
class Fire:
    """Which fire of which schedule a task stands for."""

    schedule_id: str
    instant_ms: int


def prepare(
    request: TaskRequest, handlers: Mapping[str, Handler], max_payload_bytes: int, fire: Fire | None = None
) -> PreparedTask:
    """Do as `prepare_given`, with what is given in a request."""
    return prepare_given(given_in(request), handlers, max_payload_bytes, fire)


def prepare_given(
    given: Given, handlers: Mapping[str, Handler], max_payload_bytes: int, fire: Fire | None = None
) -> PreparedTask:
    """Check what is given and write its body. What it leaves open, the task's own policy says, else the default.

    Raises:
        ValueError, TypeError: an argument can't be used; the message says which and why.
    """
    (
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
    ) = given
    handler = handlers.get(checks.check_name(name))
    if handler is not None and handler.form is not None:
        payload = handler.form.dump(payload)
    payload_json = checks.encode_payload(payload, max_payload_bytes)
    if handler is not None:
        policy = handler.policy
        max_retries = policy.max_retries if max_retries is None else max_retries
        queue = policy.queue if queue is None else queue
        priority = policy.priority if priority is None else priority
        expires_in = policy.expires_in if expires_in is None else expires_in
        timeout = policy.timeout if timeout is None else timeout
        unique_key = policy.unique_key if unique_key is None else unique_key
    priority = TaskPriority.NORMAL if priority is None else checks.check_priority(priority)
    body = encode_body(
        name,
        payload_json,
        priority,
        # A uid of our own tells when it was made.
        None if task_id is None else wall_clock.now_ms(),
        DEFAULT_MAX_RETRIES if max_retries is None else checks.check_max_retries(max_retries),
        unique_key=None if unique_key is None else checks.check_key("unique_key", unique_key),
        limit_key=None if limit_key is None else checks.check_key("limit_key", limit_key),
        expires=expires_in is not None,
        timeout_ms=None if timeout is None else round(checks.check_timeout(timeout) * 1000),
        tags=checks.check_tags(tags),
        schedule_id=fire.schedule_id if fire else None,
        scheduled_for_ms=fire.instant_ms if fire else None,
        starts_later=eta is not None or bool(delay_seconds),
        result_ttl_ms=None if result_ttl is None else checks.check_result_ttl(result_ttl),
    )
    uid = new_uid(priority) if task_id is None else given_uid(task_id)
    queue = DEFAULT_QUEUE if queue is None else check_queue(queue)
    mode = checks.check_unique(unique)
    when = _start(delay_seconds, eta)
    if expires_in is not None:
        when = b"%b;%d;%b" % (when, round(checks.check_expiry(expires_in) * 1000), mode.encode())
    elif unique_key is not None:
        when = b"%b;;%b" % (when, mode.encode())
    return PreparedTask(queue, uid, when, body, checks.check_durability(durability))


def _start(delay_seconds: float, eta: datetime | None) -> bytes:
    delay_s = checks.check_delay("delay_seconds", delay_seconds)
    if eta is None:
        return b"+%d" % round(delay_s * 1000) if delay_s else NOW
    if delay_s:
        raise ValueError(f"both eta {eta!r} and delay_seconds {delay_s} are given: pass one of them")
    return b"=%d" % checks.check_eta(eta)
