"""What a schedule is, apart from when it last fired: the ids that every process derives alike."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.codec import to_json

if TYPE_CHECKING:
    from singleton_service.background.expressions import Recurrence

MAX_ID_CHARS = 250


@dataclass(frozen=True, slots=True)
class Definition:
    """A task to enqueue again and again. Equal definitions are the same schedule.

    Attributes:
        payload_json: with sorted keys, so that the order in which they were written means nothing.
    """

    name: str
    payload_json: bytes
    recurrence: Recurrence
    queue: str

    @property
    def payload(self) -> dict[str, Any]:
        """A payload of its own for each fire."""
        fields: dict[str, Any] = json.loads(self.payload_json)
        return fields

    @property
    def default_id(self) -> str:
        """`<name>-<8 hex>`: the id of a schedule that was given none."""
        parts = [self.name, self.payload_json.decode(), self.recurrence.text, self.recurrence.timezone, self.queue]
        return f"{self.name}-{hashlib.sha256(to_json(parts)).hexdigest()[:8]}"


def sorted_json(payload_json: bytes) -> bytes:
    """Return a JSON object with its keys sorted, at every depth."""
    return json.dumps(json.loads(payload_json), sort_keys=True, separators=(",", ":")).encode()


def fire_task_id(schedule_id: str, instant_ms: int) -> str:
    """Return the `task_id` of one fire: the same in every process, so that the queue takes it once."""
    digest = hashlib.sha256(schedule_id.encode(errors="surrogatepass")).hexdigest()
    return f"{digest[:32]}-{instant_ms}"


def check_schedule_id(schedule_id: object) -> str:
    """Return a schedule's id if it is one.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, too long or not printable.
    """
    if not isinstance(schedule_id, str):
        raise TypeError(
            f"id {schedule_id!r} is of type {type(schedule_id).__name__}, it must be text: 'nightly-report'"
        )
    if not schedule_id or len(schedule_id) > MAX_ID_CHARS or not schedule_id.isprintable():
        raise ValueError(
            f"id {schedule_id[:40]!r} ({len(schedule_id)} characters) is not usable: it takes 1 to {MAX_ID_CHARS} "
            "printable characters, such as 'nightly-report'"
        )
    return schedule_id
