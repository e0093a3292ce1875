"""The hand-made layout, and which request a task of it becomes. Nothing here touches the network.

A list `task_queue` of ids, taken from its right end; a sorted set `delayed_tasks`, id -> due in seconds since 1970; and
for each id a hash `task:<id>` with name, payload (JSON), status, retry_count and max_retries. What was not there was
left out, or written as the word None.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from singleton_service.background.task_queue import TaskRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

READY = b"task_queue"
DELAYED = b"delayed_tasks"
TASK_PREFIX = b"task:"
NEEDED = (b"name", b"payload", b"status")
_DEFAULT_MAX_RETRIES = 3
_OUR_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Kind(StrEnum):
    """What the hash of an id says of it."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    UNREADABLE = "unreadable"
    GONE = "gone"


_KINDS = {
    "pending": Kind.WAITING,
    "retrying": Kind.WAITING,
    "running": Kind.RUNNING,
    "completed": Kind.FINISHED,
    "failed": Kind.FINISHED,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a task in the old queue.

    Attributes:
        id: the old id.
        due: seconds since 1970, as it stood there; empty for one that was ready.
        was_taken: whether an old worker had taken it, and it goes all the same.
    """

    id: bytes
    due: bytes = b""
    was_taken: bool = False

    @property
    def shown(self) -> str:
        """The key of its hash, to be shown."""
        return (TASK_PREFIX + self.id).decode(errors="backslashreplace")

    @property
    def task_id(self) -> str:
        """The `task_id` it gets, the same each time: the old id wherever that can be one."""
        text = self.id.decode(errors="backslashreplace")
        return text if _OUR_ID.fullmatch(text) else f"moved-{hashlib.sha256(self.id).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What an entry came to: a request where it can be enqueued, else a problem where it should have been one."""

    entry: Entry
    kind: Kind
    request: TaskRequest | None = None
    problem: str = ""


def read_entry(entry: Entry, fields: Mapping[bytes, bytes]) -> Reading:
    """Make sense of the hash of an id."""
    if not fields:
        return Reading(entry, Kind.GONE, problem="it has no hash")
    try:
        status = _text(fields, b"status") or "pending"
        kind = _KINDS.get(status)
        if kind is None:
            return Reading(entry, Kind.UNREADABLE, problem=f"its status is {status[:40]!r}")
        return Reading(entry, kind, None if kind is Kind.FINISHED else _request(entry, fields))
    except ValueError as error:
        return Reading(entry, Kind.UNREADABLE, problem=str(error))


def _request(entry: Entry, fields: Mapping[bytes, bytes]) -> TaskRequest:
    name = _text(fields, b"name")
    if name is None:
        raise ValueError("it has no name")
    try:
        payload = json.loads(_text(fields, b"payload") or "{}")
    except ValueError as error:
        raise ValueError(f"its payload is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise ValueError(f"its payload is a {type(payload).__name__}, not an object")  # noqa: TRY004 - a fault of data
    used = _number(fields, b"retry_count", 0)
    allowed = _number(fields, b"max_retries", _DEFAULT_MAX_RETRIES)
    eta = _due(entry.due) if entry.due else None
    return TaskRequest(name, payload, max_retries=max(0, allowed - used), eta=eta, task_id=entry.task_id)


def _due(due: bytes) -> datetime:
    try:
        return datetime.fromtimestamp(float(due), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"it is due at {due.decode(errors='backslashreplace')}, which is no time") from error


def _number(fields: Mapping[bytes, bytes], name: bytes, default: int) -> int:
    text = _text(fields, name)
    try:
        return default if text is None else int(text)
    except ValueError as error:
        raise ValueError(f"its {name.decode()} is {str(text)[:40]!r}, not a number") from error


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    try:
        text = fields.get(name, b"").decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"its {name.decode()} is not UTF-8") from error
    return None if text in {"", "None"} else text
