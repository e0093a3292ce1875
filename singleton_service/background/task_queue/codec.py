"""Bytes <-> records: the only place that knows how a task is written down.

A body, immutable from enqueue to end, is two or three lines: version digit, priority digit, traits (1 unique key, 2
expiry, 4 a time of its own for its result, 8 limit key, 16 not to be started at once, added up and counted from "0"),
`max retries|name`; then the payload, JSON; then, when there is one of them, JSON of "c" created ms (where the uid does
not tell), "s" schedule id, "f" the instant it stands for (ms), "u" unique key, "l" limit key, "g" tags, "r" ms to keep
the result, "t" ms an attempt may take. The first three characters and the place of the third line stay in every future
version: Lua reads them.

A finished record, written by the scripts: `state retries[+length of errors]|fence|ms since the fence|worker's
number|result`, then the errors, if any, and the body, each from a new line; the fence and the ms in hexadecimal. State
is c completed, x cancelled, e expired.

A progress note: `µs since 1970|percent|message`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .ids import created_ms_of, join_id
from .records import Progress, Task, TaskError, TaskPriority, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .lease import Lease

BODY_VERSION = b"1"
STATUS_WIDTH = 7
MAX_TRACEBACK_CHARS = 16_384
MAX_ERROR_CHARS = 8192
NEWER_VERSION = "the task was written by a newer version of singleton-service"
_TRACEBACK_HEAD_CHARS = 2048
_KIND_CHARS = 200
_TRACEBACK_GAP = "\n  [...]\n"
_TRAITS_AT, _TRAITS_END = 2, 3
_ENDED = {b"c": TaskStatus.COMPLETED, b"x": TaskStatus.CANCELLED, b"e": TaskStatus.EXPIRED}
_LINES = {b"u": "waits for the unique key ", b"l": "waits for its turn with the limit key "}
_UNREADABLE: dict[str, Any] = {"n": "(written by a newer version)", "c": 0, "m": 0, "p": {}}

_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_ascii = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode

_read = json.JSONDecoder().raw_decode


def _quick_encoder() -> Callable[[object, int], Iterable[str]]:
    """Return what `_compact` makes anew for each value, which takes as long as the value. It tells less of errors."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        # Not CPython.
        return lambda value, _level: _compact.iterencode(value)
    return make(None, _compact.default, json.encoder.encode_basestring, None, ":", ",", False, False, False)  # type: ignore[no-any-return]


_quick = _quick_encoder()


def to_json(value: object) -> bytes:
    """Return *value* as compact JSON.

    Raises:
        TypeError: it holds something JSON has no word for.
        ValueError: it holds NaN, an infinity, or itself.
    """
    try:
        return "".join(_quick(value, 0)).encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; JSON can still escape it.
        return _ascii(value).encode()
    except (TypeError, ValueError, RecursionError):
        return _compact.encode(value).encode()


def from_json(data: bytes) -> Any:
    """Read what `to_json` wrote, or other JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        value, end = _read(text := data.decode())
    except ValueError:
        return json.loads(data)
    # What is not of our own writing may end with blanks, or with what is not JSON.
    return value if end == len(text) else json.loads(data)


def frame_body(  # noqa: PLR0913 - the fields of a body, each its own
    name: str,
    priority: int,
    created_ms: int | None,
    max_retries: int,
    *,
    unique_key: str | None = None,
    limit_key: str | None = None,
    expires: bool = False,
    tags: tuple[str, ...] = (),
    schedule_id: str | None = None,
    scheduled_for_ms: int | None = None,
    result_ttl_ms: int | None = None,
    starts_later: bool = False,
    timeout_ms: int | None = None,
) -> tuple[bytes, bytes]:
    """Write what comes before and after the payload in a task's body. `created_ms` is None when the uid tells it."""
    traits = (unique_key is not None) + 2 * expires + 4 * (result_ttl_ms is not None)
    traits += 8 * (limit_key is not None) + 16 * starts_later
    head = b"%b%d%c%d|%b\n" % (BODY_VERSION, priority, 48 + traits, max_retries, name.encode())
    given = {
        "c": created_ms,
        "s": schedule_id,
        "f": scheduled_for_ms,
        "u": unique_key,
        "l": limit_key,
        "g": tags or None,
        "r": result_ttl_ms,
        "t": timeout_ms,
    }
    extras = {key: value for key, value in given.items() if value is not None}
    return head, b"\n" + to_json(extras) if extras else b""


def encode_body(
    name: str, payload_json: bytes, priority: int, created_ms: int | None, max_retries: int, **more: Any
) -> bytes:
    """Write a task's body; *more* is as in `frame_body`."""
    head, tail = frame_body(name, priority, created_ms, max_retries, **more)
    return head + payload_json + tail


def is_readable(body: bytes) -> bool:
    """Whether this version of the package can read the body."""
    return body[:1] == BODY_VERSION


def has_unique_key(body: bytes) -> bool:
    """Whether the task of a readable body holds a unique key."""
    return bool(body[_TRAITS_AT] - ord("0") & 1)


def name_in(body: bytes) -> str:
    """Return the name of the task in a readable body, without reading the rest."""
    return body[body.index(b"|") + 1 : body.index(b"\n")].decode()


def decode_body(body: bytes) -> dict[str, Any]:
    """Return the fields of a readable body: "n" name, "m" max retries, "p" payload, and those it has of the rest."""
    head, payload, *extras = body[_TRAITS_END:].split(b"\n", 2)
    max_retries, _, name = head.partition(b"|")
    fields = {"n": name.decode(), "m": int(max_retries), "p": from_json(payload)}
    if extras:
        fields.update(from_json(extras[0]))
    return fields


def encode_error(when: datetime, kind: str, message: str, traceback: str | None) -> bytes:
    """Write one failed attempt as one line of JSON, cut where it is longer than anybody reads."""
    if len(message) > MAX_ERROR_CHARS:
        message = f"{message[:MAX_ERROR_CHARS]} [... {len(message) - MAX_ERROR_CHARS:,} more characters]"
    if traceback is not None and len(traceback) > MAX_TRACEBACK_CHARS:
        # The end of a traceback says what happened; the middle of a deep recursion says nothing.
        tail_chars = MAX_TRACEBACK_CHARS - _TRACEBACK_HEAD_CHARS - len(_TRACEBACK_GAP)
        traceback = traceback[:_TRACEBACK_HEAD_CHARS] + _TRACEBACK_GAP + traceback[-tail_chars:]
    return to_json({"w": _to_ms(when), "t": kind[:_KIND_CHARS], "m": message, "tb": traceback})


def encode_progress(percent: float, message: str) -> tuple[bytes, bytes]:
    """Write how far a task has come; the server adds when."""
    return repr(percent).encode(), message.encode("utf-8", "replace")


def decode_progress(note: bytes) -> Progress:
    """Read how far a task has come."""
    us, percent, message = note.split(b"|", 2)
    return Progress(float(percent), message.decode(), _from_us(int(us)))


def decode_task(queue: str, uid: str, reply: list[bytes], lease: Lease | None = None) -> Task | None:
    """Build a Task from the seven values status.lua gives for a uid; None when it is unknown."""
    state, blob, detail, past, failures, note, expiry = reply
    if state == b"unknown":
        return None
    if state == b"finished":
        return _decode_finished(queue, uid, blob, detail.decode() or None)
    retries, _, last_fence = past.decode().split("|") if past else ("0", "0", "")
    errors, errors_left_out = _decode_errors(failures)
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
            details["held_reason"] = _LINES[detail[:1]] + repr(detail[1:].decode())
    return _task(
        queue,
        uid,
        blob,
        status,
        started_at=_from_us(int(last_fence)) if last_fence else None,
        error_message=errors[-1].message if errors else None,
        retry_count=int(retries),
        errors=errors,
        errors_left_out=errors_left_out,
        progress=decode_progress(note) if note else None,
        expires_at=_from_ms(float(expiry)) if expiry else None,
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


def _decode_finished(queue: str, uid: str, record: bytes, worker: str | None) -> Task:
    head, _, rest = record.partition(b"\n")
    state, fence, ms, _, result_json = head.split(b"|", 4)
    retries, _, errors_length = state[1:].partition(b"+")
    failures = b""
    if errors_length:
        failures, rest = rest[: int(errors_length)], rest[int(errors_length) + 1 :]
    errors, errors_left_out = _decode_errors(failures)
    began_us = int(fence, 16)
    return _task(
        queue,
        uid,
        rest,
        _ENDED[state[:1]],
        started_at=_from_us(began_us) if began_us else None,
        completed_at=_from_ms(began_us // 1000 + int(ms, 16)),
        retry_count=int(retries),
        result=json.loads(result_json),
        worker_id=worker,
        errors=errors,
        errors_left_out=errors_left_out,
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
        created_at=_from_ms(fields["c"] if "c" in fields else created_ms_of(uid)),
        max_retries=fields["m"],
        queue=queue,
        priority=TaskPriority(int(body[1:2])),
        timeout=fields["t"] / 1000 if "t" in fields else None,
        tags=tuple(fields.get("g", ())),
        unique_key=fields.get("u"),
        limit_key=fields.get("l"),
        schedule_id=fields.get("s"),
        scheduled_for=None if instant_ms is None else _from_ms(instant_ms),
        **details,
    )


def _decode_errors(lines: bytes) -> tuple[tuple[TaskError, ...], int]:
    """Return the errors, and how many were left out between the first and the latest."""
    errors, left_out = [], 0
    for line in lines.split(b"\n") if lines else ():
        if line.isdigit():
            left_out = int(line)
        else:
            said = json.loads(line)
            errors.append(TaskError(_from_ms(said["w"]), said["t"], said["m"], said["tb"]))
    return tuple(errors), left_out


def _from_ms(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _from_us(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)


def _to_ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)
