"""From the arguments of an enqueue to what is written: everything is checked here, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import checks, wall_clock
from .codec import encode_body
from .ids import check_queue, given_uid, join_id, new_uid
from .records import TaskPriority, TaskRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .handlers import Handler
    from .policy import Policy

DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRIES = 3
NOW = b"0"


@dataclass(frozen=True, slots=True)
class PreparedTask:
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
    """Check a request and write its body. What it leaves open, the task's own policy says, else the default.

    Raises:
        ValueError, TypeError: an argument can't be used; the message says which and why.
    """
    name = checks.check_name(request.name)
    handler = handlers.get(name)
    payload = request.payload
    if handler is not None and handler.form is not None:
        payload = handler.form.dump(payload)
    payload_json = checks.encode_payload(payload, max_payload_bytes)
    policy = handler.policy if handler else None
    if policy and (policy.expires_in is not None or policy.unique_key is not None):
        request = _with_bounds(request, policy)
    max_retries = request.max_retries
    if max_retries is None:
        max_retries = policy.max_retries if policy and policy.max_retries is not None else DEFAULT_MAX_RETRIES
    queue = request.queue if request.queue is not None else (policy and policy.queue) or DEFAULT_QUEUE
    timeout = request.timeout
    if timeout is None and policy:
        timeout = policy.timeout
    priority = request.priority
    if priority is None:
        priority = policy.priority if policy and policy.priority is not None else TaskPriority.NORMAL
    priority = checks.check_priority(priority)
    body = encode_body(
        name,
        payload_json,
        priority,
        # A uid of our own tells when it was made.
        None if request.task_id is None else wall_clock.now_ms(),
        checks.check_max_retries(max_retries),
        unique_key=None if request.unique_key is None else checks.check_key("unique_key", request.unique_key),
        limit_key=None if request.limit_key is None else checks.check_key("limit_key", request.limit_key),
        expires=request.expires_in is not None,
        timeout_ms=None if timeout is None else round(checks.check_timeout(timeout) * 1000),
        tags=checks.check_tags(request.tags),
        schedule_id=fire.schedule_id if fire else None,
        scheduled_for_ms=fire.instant_ms if fire else None,
        starts_later=request.eta is not None or bool(request.delay_seconds),
        result_ttl_ms=None if request.result_ttl is None else checks.check_result_ttl(request.result_ttl),
    )
    uid = new_uid(priority) if request.task_id is None else given_uid(request.task_id)
    return PreparedTask(check_queue(queue), uid, _when(request), body, checks.check_durability(request.durability))


def _with_bounds(request: TaskRequest, policy: Policy) -> TaskRequest:
    return replace(
        request,
        expires_in=policy.expires_in if request.expires_in is None else request.expires_in,
        unique_key=policy.unique_key if request.unique_key is None else request.unique_key,
    )


def _when(request: TaskRequest) -> bytes:
    mode = checks.check_unique(request.unique)
    if request.expires_in is None:
        return _start(request) if request.unique_key is None else b"%b;;%b" % (_start(request), mode.encode())
    return b"%b;%d;%b" % (_start(request), round(checks.check_expiry(request.expires_in) * 1000), mode.encode())


def _start(request: TaskRequest) -> bytes:
    delay_s = checks.check_delay("delay_seconds", request.delay_seconds)
    if request.eta is None:
        return b"+%d" % round(delay_s * 1000) if delay_s else NOW
    if delay_s:
        raise ValueError(f"both eta {request.eta!r} and delay_seconds {delay_s} are given: pass one of them")
    return b"=%d" % checks.check_eta(request.eta)
