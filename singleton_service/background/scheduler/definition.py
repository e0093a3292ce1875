"""What a schedule is, apart from what has become of it: what all processes derive its ids and instants from."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from singleton_service.background.expressions import find_zone, parse
from singleton_service.background.task_queue.checks import check_eta
from singleton_service.background.task_queue.codec import to_json

if TYPE_CHECKING:
    from singleton_service.background.expressions import Recurrence

Missed: TypeAlias = Literal["one", "skip", "all"]
Overlap: TypeAlias = Literal["allow", "skip", "queue"]
Moment: TypeAlias = Literal["date", "datetime"]

MAX_ID_CHARS = 250
MAX_JITTER_S = 24 * 3600
MAX_RUNS = 1_000_000_000
# Those of handlers and of the scheduler itself: what is declared in code is not made at run time.
RESERVED = ("handler.", "default.")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Definition:
    """A task to enqueue again and again. Equal definitions are the same schedule.

    Attributes:
        payload_json: with sorted keys, so that the order in which they were written means nothing.
        queue: None for what a scheduler does itself.
        start_ms: no instant is before it; `until_ms`: none is after it.
        max_runs: it is over when so many instants have become tasks.
        missed: what becomes of instants at which no scheduler could fire.
        overlap: what becomes of an instant whose predecessor's task has not ended.
        jitter_ms: a task starts so much later than its instant at most.
        moments: fields of the payload that are the instant itself, by the clock of the zone: (name, "date" or
            "datetime").
    """

    name: str
    payload_json: bytes
    recurrence: Recurrence
    queue: str | None
    start_ms: int | None = None
    until_ms: int | None = None
    max_runs: int | None = None
    missed: Missed = "one"
    overlap: Overlap = "allow"
    jitter_ms: int = 0
    moments: tuple[tuple[str, Moment], ...] = ()

    @property
    def payload(self) -> dict[str, Any]:
        """What is the same in all its tasks; a dict of one's own."""
        fields: dict[str, Any] = json.loads(self.payload_json)
        return fields

    def payload_at(self, instant_ms: int) -> dict[str, Any]:
        """Return the payload of one fire."""
        fields = self.payload
        if self.moments:
            instant = datetime.fromtimestamp(instant_ms / 1000, find_zone(self.recurrence.timezone))
            for name, kind in self.moments:
                fields[name] = (instant.date() if kind == "date" else instant).isoformat()
        return fields

    @property
    def default_id(self) -> str:
        """`<name>-<8 hex>`: the id of a schedule that was given none."""
        recurrence = self.recurrence
        parts = [self.name, self.payload_json.decode(), recurrence.text, recurrence.timezone, self.queue]
        return f"{self.name}-{hashlib.sha256(to_json(parts)).hexdigest()[:8]}"

    def next_after(self, now_ms: int) -> int | None:
        """Return the first instant after *now_ms*; None when there is none any more."""
        if self.start_ms is not None:
            now_ms = max(now_ms, self.start_ms - 1)
        next_ms = self.recurrence.next_after(now_ms)
        return None if self.until_ms is not None and next_ms > self.until_ms else next_ms

    def encode(self) -> bytes:
        """Write it as it is stored: equal definitions are equal bytes."""
        fields = {
            "v": _VERSION,
            "name": self.name,
            "payload": self.payload,
            "expression": self.recurrence.text,
            "timezone": self.recurrence.timezone,
            "queue": self.queue,
            "start_ms": self.start_ms,
            "until_ms": self.until_ms,
            "max_runs": self.max_runs,
            "missed": self.missed,
            "overlap": self.overlap,
            "jitter_ms": self.jitter_ms,
            "moments": dict(self.moments) or None,
        }
        return sorted_json(to_json({name: value for name, value in fields.items() if value is not None}))


def decode(blob: bytes) -> Definition:
    """Read a definition.

    Raises:
        ValueError: a newer version of this package wrote it, or it is none.
    """
    fields = json.loads(blob)
    if fields.get("v") != _VERSION:
        raise ValueError(f"it was made by a newer version of this package (format {fields.get('v')!r})")
    try:
        return Definition(
            fields["name"],
            sorted_json(to_json(fields["payload"])),
            _parsed(fields["expression"], fields["timezone"]),
            fields.get("queue"),
            fields.get("start_ms"),
            fields.get("until_ms"),
            fields.get("max_runs"),
            fields["missed"],
            fields["overlap"],
            fields["jitter_ms"],
            tuple(fields.get("moments", {}).items()),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no schedule: {error!r}") from error


@functools.lru_cache(maxsize=10_000)
def _parsed(text: str, timezone: str) -> Recurrence:
    return parse(text, timezone)


def sorted_json(payload_json: bytes) -> bytes:
    """Return a JSON object with its keys sorted, at every depth."""
    return json.dumps(json.loads(payload_json), sort_keys=True, separators=(",", ":")).encode()


def fire_task_id(schedule_id: str, instant_ms: int) -> str:
    """Return the `task_id` of one fire: the same in every process, so that the queue takes it once."""
    return f"{_digest(schedule_id)}-{instant_ms}"


def overlap_key(schedule_id: str) -> str:
    """Return the unique key of the tasks of a schedule that must not overlap."""
    return f"schedule.{_digest(schedule_id)}"


def jitter_ms(schedule_id: str, instant_ms: int, most_ms: int) -> int:
    """Return how much later than its instant a task starts: by chance, and the same in every process."""
    if most_ms == 0:
        return 0
    chance = hashlib.sha256(fire_task_id(schedule_id, instant_ms).encode()).digest()
    return int.from_bytes(chance[:8], "big") % (most_ms + 1)


def _digest(schedule_id: str) -> str:
    return hashlib.sha256(schedule_id.encode(errors="surrogatepass")).hexdigest()[:32]


# Checks


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


def check_own_id(schedule_id: object) -> str:
    """Return the id of a schedule that is made at run time if it can be one.

    Raises:
        TypeError: it is no text.
        ValueError: it is not usable, or it belongs to what is declared in code.
    """
    checked = check_schedule_id(schedule_id)
    if checked.startswith(RESERVED):
        raise ValueError(
            f"id {checked[:40]!r} is not usable: {' and '.join(map(repr, RESERVED))} begin the ids of schedules that "
            "are declared in code; change it there, or take another id"
        )
    return checked


def check_missed(missed: object) -> Missed:
    """Return what to do about missed instants if that is known.

    Raises:
        ValueError: it is not.
    """
    _check_known("missed", missed, get_args(Missed))
    return cast("Missed", missed)


def check_overlap(overlap: object) -> Overlap:
    """Return what to do about a task that has not ended if that is known.

    Raises:
        ValueError: it is not.
    """
    _check_known("overlap", overlap, get_args(Overlap))
    return cast("Overlap", overlap)


def _check_known(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} {value!r} is unknown: it is one of {', '.join(map(repr, known))}")


def check_jitter(jitter_seconds: object) -> int:
    """Return a jitter in ms.

    Raises:
        TypeError: it is no number.
        ValueError: it is out of range.
    """
    if not isinstance(jitter_seconds, (int, float)) or isinstance(jitter_seconds, bool):
        kind = type(jitter_seconds).__name__
        raise TypeError(f"jitter_seconds {jitter_seconds!r} is of type {kind}, it must be a number of seconds")
    # NaN is in no range.
    if not 0 <= jitter_seconds <= MAX_JITTER_S:
        raise ValueError(f"jitter_seconds {jitter_seconds} is out of range: 0 to {MAX_JITTER_S:,} (a day)")
    return round(jitter_seconds * 1000)


def check_max_runs(max_runs: object) -> int | None:
    """Return how often a schedule fires at most; None for ever.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is out of range.
    """
    if max_runs is None:
        return None
    if not isinstance(max_runs, int) or isinstance(max_runs, bool):
        raise TypeError(f"max_runs {max_runs!r} is of type {type(max_runs).__name__}, it must be a whole number")
    if not 1 <= max_runs <= MAX_RUNS:
        raise ValueError(f"max_runs {max_runs} is out of range: 1 to {MAX_RUNS:,}; None is without end")
    return max_runs


def check_bounds(start_at: datetime | None, until: datetime | None) -> tuple[int | None, int | None]:
    """Return the bounds of a schedule in ms. A naive datetime is the caller's local time.

    Raises:
        TypeError: one is no datetime.
        ValueError: one is out of range, or the end is before the start.
    """
    start_ms = None if start_at is None else _moment("start_at", start_at)
    until_ms = None if until is None else _moment("until", until)
    if start_ms is not None and until_ms is not None and until_ms < start_ms:
        raise ValueError(f"until {until} is before start_at {start_at}: such a schedule would never fire")
    return start_ms, until_ms


def _moment(name: str, moment: object) -> int:
    try:
        return check_eta(moment)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
