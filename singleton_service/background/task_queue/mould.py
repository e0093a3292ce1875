"""All of a task but its payload: checked and written once for tasks that differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from . import checks, wall_clock
from .codec import frame_body
from .ids import check_queue
from .records import TaskPriority, TaskRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from .handlers import Handler

DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRIES = 3
NOW = b"0"
_MOST_MOULDS = 1000


# The arguments of an enqueue: a TaskRequest, or a tuple like it, which is made in a third of the time.
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
_ETA, TASK_ID, _TAGS = map(TaskRequest._fields.index, ("eta", "task_id", "tags"))


@dataclass(frozen=True, slots=True)
class Fire:
    """Which fire of which schedule a task stands for."""

    schedule_id: str
    instant_ms: int


class Mould(NamedTuple):
    """All of a task but its payload and its uid.

    Attributes:
        rest: what was given beside name and payload.
        is_worded: whether that is words alone, or nothing, but for the delay.
        handler: whose policy and form it has, if this process knows it.
        head, tail: what its body has before and after the payload.
    """

    rest: tuple[object, ...]
    is_worded: bool
    handler: Handler | None
    queue: str
    priority: TaskPriority
    when: bytes
    head: bytes
    tail: bytes
    durability: str | None

    def is_of(self, rest: tuple[object, ...]) -> bool:
        """Whether it was made of the very same: True equals 1, and is no number of retries."""
        if self.is_worded:
            # What equals a word is that word, and sooner told.
            return rest == self.rest and rest[0] is self.rest[0]
        return all(map(is_, rest, self.rest))


# Of each name the last one, for the next task is mostly of the same: all of it is checked and written once.
_moulds: dict[str, Mould] = {}


def mould_of(given: Given, handlers: Mapping[str, Handler], fire: Fire | None = None) -> Mould:
    """Check what is given, but for the payload. What it leaves open, the task's own policy says, else the default.

    Raises:
        ValueError, TypeError: an argument can't be used; the message says which and why.
    """
    name, rest = checks.check_name(given[0]), given[2:]
    handler = handlers.get(name)
    mould = _moulds.get(name)
    if mould is not None and mould.handler is handler and fire is None and mould.is_of(rest):
        return mould
    mould = _new_mould(given, handler, fire)
    if fire is None and _is_lasting(given):
        if len(_moulds) >= _MOST_MOULDS:
            _moulds.clear()
        _moulds[name] = mould
    return mould


def _is_lasting(given: Given) -> bool:
    """Whether the same arguments mean the same at any time."""
    return given[_ETA] is None and given[TASK_ID] is None and isinstance(given[_TAGS], tuple)


def _new_mould(given: Given, handler: Handler | None, fire: Fire | None) -> Mould:
    """Check everything but the payload."""
    (
        name,
        _,
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
    if handler is not None:
        policy = handler.policy
        max_retries = policy.max_retries if max_retries is None else max_retries
        queue = policy.queue if queue is None else queue
        priority = policy.priority if priority is None else priority
        expires_in = policy.expires_in if expires_in is None else expires_in
        timeout = policy.timeout if timeout is None else timeout
        unique_key = policy.unique_key if unique_key is None else unique_key
    priority = TaskPriority.NORMAL if priority is None else checks.check_priority(priority)
    head, tail = frame_body(
        name,
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
    queue = DEFAULT_QUEUE if queue is None else check_queue(queue)
    mode = checks.check_unique(unique)
    when = _start(delay_seconds, eta)
    if expires_in is not None:
        when = b"%b;%d;%b" % (when, round(checks.check_expiry(expires_in) * 1000), mode.encode())
    elif unique_key is not None:
        when = b"%b;;%b" % (when, mode.encode())
    rest = given[2:]
    is_worded = all(each is None or isinstance(each, (str, tuple)) for each in rest[1:])
    return Mould(rest, is_worded, handler, queue, priority, when, head, tail, checks.check_durability(durability))


def _start(delay_seconds: float, eta: datetime | None) -> bytes:
    delay_s = checks.check_delay("delay_seconds", delay_seconds)
    if eta is None:
        return b"+%d" % round(delay_s * 1000) if delay_s else NOW
    if delay_s:
        raise ValueError(f"both eta {eta!r} and delay_seconds {delay_s} are given: pass one of them")
    return b"=%d" % checks.check_eta(eta)
