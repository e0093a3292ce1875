"""Bytes <-> records: the only place that knows how a task is written down.

A body, immutable from enqueue to end: version digit, priority digit, traits digit (1 unique key, 2 expiry, 3 both),
JSON `{"n": name, "c": created ms, "m": max retries, "p": payload}` and, when there is one, "s" schedule id and "f" the
instant it stands for (ms), "u" unique key, "g" tags. The three digits stay in every future version: Lua reads them.

A finished record: `ended ms|fence|length of errors|errors` (written by the script), then
`version, state, retries|worker|length of body|body|result JSON`; state is c completed, x cancelled, e expired.

A progress note: `µs since 1970|percent|message`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .ids import join_id
from .records import Progress, Task, TaskError, TaskPriority, TaskStatus

if TYPE_CHECKING:
    from .lease import Lease

BODY_VERSION = b"1"
RECORD_VERSION = b"1"
STATUS_WIDTH = 6
MAX_TRACEBACK_CHARS = 16_384
NEWER_VERSION = "the task was written by a newer version of singleton-service"
_TRACEBACK_HEAD_CHARS = 2048
_TRACEBACK_GAP = "\n  [...]\n"
_JSON_BEGINS = 3
_ENDED = {b"c": TaskStatus.COMPLETED, b"x": TaskStatus.CANCELLED, b"e": TaskStatus.EXPIRED}
_UNREADABLE: dict[str, Any] = {"n": "(written by a newer version)", "c": 0, "m": 0, "p": {}}

_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_ascii = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def to_json(value: object) -> bytes:
    """Return *value* as compact JSON.

    Raises:
        TypeError: it holds something JSON has no word for.
        ValueError: it holds NaN, an infinity, or itself.
    """
    try:
        return _compact(value).encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; JSON can still escape it.
        return _ascii(value).encode()


def encode_body(  # noqa: PLR0913 - the fields of a body, each its own
    name: str,
    payload_json: bytes,
    priority: int,
    created_ms: int,
    max_retries: int,
    *,
    unique_key: str | None = None,
    expires: bool = False,
    tags: tuple[str, ...] = (),
    schedule_id: str | None = None,
    scheduled_for_ms: int | None = None,
) -> bytes:
    """Write a task's body."""
    extra = b""
    if schedule_id is not None:
        extra = b'"s":%s,"f":%d,' % (to_json(schedule_id), scheduled_for_ms or 0)
    if unique_key is not None:
        extra += b'"u":%s,' % to_json(unique_key)
    if tags:
        extra += b'"g":%s,' % to_json(tags)
    return b'%b%d%d{"n":%b,"c":%d,"m":%d,%b"p":%b}' % (
        BODY_VERSION,
        priority,
        (unique_key is not None) + 2 * expires,
        to_json(name),
        created_ms,
        max_retries,
        extra,
        payload_json,
    )


def is_readable(body: bytes) -> bool:
    """Whether this version of the package can read the body."""
    return body[:1] == BODY_VERSION


def decode_body(body: bytes) -> dict[str, Any]:
    """Return the fields of a readable body, by their short names."""
    fields: dict[str, Any] = json.loads(body[_JSON_BEGINS:])
    return fields


def encode_record(lease: Lease, result_json: bytes) -> bytes:
    """Write what is kept of a completed task."""
    return b"%bc%d|%b|%d|%b|%b" % (
        RECORD_VERSION,
        lease.retry_count,
        lease.worker.encode(),
        len(lease.body),
        lease.body,
        result_json,
    )


def encode_error(when: datetime, kind: str, message: str, traceback: str | None) -> bytes:
    """Write one failed attempt as one line of JSON."""
    if traceback is not None and len(traceback) > MAX_TRACEBACK_CHARS:
        # The end of a traceback says what happened; the middle of a deep recursion says nothing.
        tail_chars = MAX_TRACEBACK_CHARS - _TRACEBACK_HEAD_CHARS - len(_TRACEBACK_GAP)
        traceback = traceback[:_TRACEBACK_HEAD_CHARS] + _TRACEBACK_GAP + traceback[-tail_chars:]
    return to_json({"w": _to_ms(when), "t": kind, "m": message, "tb": traceback})


def encode_progress(percent: float, message: str) -> tuple[bytes, bytes]:
    """Write how far a task has come; the server adds when."""
    return repr(percent).encode(), message.encode("utf-8", "replace")


def decode_progress(note: bytes) -> Progress:
    """Read how far a task has come."""
    us, percent, message = note.split(b"|", 2)
    return Progress(float(percent), message.decode(), _from_us(int(us)))


def decode_task(queue: str, uid: str, reply: list[bytes], lease: Lease | None = None) -> Task | None:
    """Build a Task from the six values status.lua gives for a uid; None when it is unknown."""
    state, blob, detail, past, failures, note = reply
    if state == b"unknown":
        return None
    if state == b"finished":
        return _decode_finished(queue, uid, blob)
    retries, _, last_fence = past.decode().split("|") if past else ("0", "0", "")
    errors = _decode_errors(failures)
    details: dict[str, Any] = {}
    if state == b"running":
        fence, _, worker = detail.decode().partition("|")
        status, last_fence = TaskStatus.RUNNING, fence
        details["worker_id"] = worker
    elif state == b"dead":
        status = TaskStatus.FAILED
        details["completed_at"] = _from_ms(float(detail))
    elif state == b"expired":
        status = TaskStatus.EXPIRED
        details["completed_at"] = _from_ms(float(detail))
    else:
        status = TaskStatus.RETRYING if int(retries) else TaskStatus.PENDING
        if state == b"due":
            details["eta"] = _from_ms(float(detail))
        elif state == b"held":
            details["held_reason"] = detail.decode().partition("|")[2]
        elif state == b"waiting":
            details["held_reason"] = f"waits for the unique key {detail.decode()[1:]!r}"
    return _task(
        queue,
        uid,
        blob,
        status,
        started_at=_from_us(int(last_fence)) if last_fence else None,
        error_message=errors[-1].message if errors else None,
        retry_count=int(retries),
        errors=errors,
        progress=decode_progress(note) if note else None,
        _lease=lease,
        **details,
    )


def leased_task(lease: Lease) -> Task:
    """Build the running Task a fetch has just handed out."""
    return _task(
        lease.queue,
        lease.uid,
        lease.body,
        TaskStatus.RUNNING,
        started_at=_from_us(lease.fence),
        retry_count=lease.retry_count,
        worker_id=lease.worker,
        _lease=lease,
    )


def _decode_finished(queue: str, uid: str, blob: bytes) -> Task:
    ended_ms, fence, errors_length, rest = blob.split(b"|", 3)
    failures, rest = rest[: int(errors_length)], rest[int(errors_length) :]
    state = rest[1:2]
    retries, worker, body_length, rest = rest[2:].split(b"|", 3)
    body, result_json = rest[: int(body_length)], rest[int(body_length) + 1 :]
    return _task(
        queue,
        uid,
        body,
        _ENDED[state],
        started_at=_from_us(int(fence)) if fence != b"0" else None,
        completed_at=_from_ms(float(ended_ms)),
        retry_count=int(retries),
        result=json.loads(result_json),
        worker_id=worker.decode() or None,
        errors=_decode_errors(failures),
    )


def _task(queue: str, uid: str, body: bytes, status: TaskStatus, **details: Any) -> Task:
    # One that can't be read is still shown, so that a person sees what waits for a newer worker.
    fields = decode_body(body) if is_readable(body) else _UNREADABLE
    instant_ms = fields.get("f")
    return Task(
        id=join_id(queue, uid),
        name=fields["n"],
        payload=fields["p"],
        status=status,
        created_at=_from_ms(fields["c"]),
        max_retries=fields["m"],
        queue=queue,
        priority=TaskPriority(int(body[1:2])),
        tags=tuple(fields.get("g", ())),
        unique_key=fields.get("u"),
        schedule_id=fields.get("s"),
        scheduled_for=None if instant_ms is None else _from_ms(instant_ms),
        **details,
    )


def _decode_errors(lines: bytes) -> tuple[TaskError, ...]:
    return tuple(
        TaskError(_from_ms(line["w"]), line["t"], line["m"], line["tb"])
        for line in map(json.loads, lines.split(b"\n") if lines else ())
    )


def _from_ms(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _from_us(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)


def _to_ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)
