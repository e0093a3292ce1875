"""What arguments may be. Each error names the value, the rule and a way out; nothing has been written by then."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from .codec import to_json
from .protocol import Pace
from .records import TaskPriority

MAX_NAME_CHARS = 200
MAX_RETRIES = 1_000_000
MAX_TAGS = 20
MAX_MESSAGE_CHARS = 500
UNIQUE_MODES = ("drop", "replace", "serial")
DURABILITIES = ("memory", "disk", "replica")
MAX_LIMIT = 1_000_000
_SHORTEST_EXPIRY_S = 0.001
_SHORTEST_TIMEOUT_S = 0.001
_SHORTEST_RATE_S = 0.001
MAX_DELAY_SECONDS = 100 * 366 * 24 * 3600
_CONTAINERS = (dict, list, tuple)
_STRING = frozenset({str})
_PLAIN = frozenset({str, int, float, bool, type(None)})


def check_name(name: object) -> str:
    """Return a task's name if it is one.

    Raises:
        TypeError: it is no string.
        ValueError: it is empty, too long or not printable.
    """
    if not isinstance(name, str):
        raise TypeError(f"task name {name!r} is {_a(name)}, it must be a string such as 'send_email'")
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        shown = name if len(name) <= 40 else f"{name[:40]}…"
        raise ValueError(
            f"task name {shown!r} ({len(name)} characters) is not usable: it takes 1 to {MAX_NAME_CHARS} printable "
            "characters with no space around them, such as 'send_email'"
        )
    return name


def encode_payload(payload: object, max_bytes: int) -> bytes:
    """Return a payload as JSON.

    Raises:
        TypeError: it is no mapping with string keys, or holds something JSON has no word for.
        ValueError: it holds NaN or itself, or is larger than *max_bytes*.
    """
    if payload is None:
        return b"{}"
    if not isinstance(payload, (dict, Mapping)):  # the first is what nearly all are, and quickly told
        raise TypeError(f"payload is {_a(payload)}, it must be a dict: put the value under a key, {{'value': ...}}")
    try:
        encoded = to_json(payload if isinstance(payload, dict) else dict(payload))
    except TypeError as error:
        raise TypeError(
            f"payload is not JSON: {error}. Pass plain values (str, int, float, bool, None, list, dict); "
            "a date as its isoformat(), a file as its path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"payload is not JSON: {error}. NaN, infinities and circular structures have no JSON"
        ) from error
    # After the encoding: what holds itself never comes here.
    _check_keys(payload)
    if len(encoded) > max_bytes:
        raise ValueError(
            f"payload is {len(encoded):,} bytes as JSON, at most {max_bytes:,} are allowed: store the data elsewhere "
            "and pass its path or key, or raise TASKS_MAX_PAYLOAD_BYTES"
        )
    return encoded


def _check_keys(payload: Mapping[Any, Any]) -> None:
    """Refuse keys that are no strings, at any depth: JSON would turn 5 into "5", and the handler would get that."""
    if _STRING.issuperset(map(type, payload)) and _PLAIN.issuperset(map(type, payload.values())):
        return
    # A stack of its own: structures may be nested deeper than calls. A path is (path of the container, key in it).
    inside: list[tuple[Any, Any]] = [(payload, None)]
    while inside:
        container, path = inside.pop()
        if isinstance(container, (list, tuple)):
            parts: Iterable[tuple[Any, Any]] = enumerate(container)
        else:
            parts = container.items()
            for key in container:
                if not isinstance(key, str):
                    place = _shown(path)
                    raise TypeError(f"{place} has the key {key!r}, {_a(key)}: JSON keys are strings, use {str(key)!r}")
        inside += [(value, (path, key)) for key, value in parts if isinstance(value, _CONTAINERS)]


def _shown(path: Any) -> str:
    keys = []
    while path is not None:
        path, key = path
        keys.append(f"[{key!r}]")
    return "payload" + "".join(reversed(keys))


def check_max_retries(max_retries: object) -> int:
    """Return a number of retries if it is one.

    Raises:
        TypeError: it is no integer.
        ValueError: it is negative or absurd.
    """
    if not isinstance(max_retries, int) or isinstance(max_retries, bool):
        raise TypeError(f"max_retries {max_retries!r} is {_a(max_retries)}, it must be an integer, 0 or more")
    if not 0 <= max_retries <= MAX_RETRIES:
        raise ValueError(f"max_retries {max_retries} is out of range: 0 (never again) to {MAX_RETRIES:,}")
    return max_retries


def check_delay(name: str, seconds: object) -> float:
    """Return a number of seconds if it is one that time can be.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, NaN, or more than a hundred years.
    """
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise TypeError(f"{name} {seconds!r} is {_a(seconds)}, it must be a number of seconds, 0 or more")
    # NaN is in no range, and an integer may be too large for math.isfinite.
    if not 0 <= seconds <= MAX_DELAY_SECONDS:
        raise ValueError(f"{name} {seconds} is out of range: 0 (now) to {MAX_DELAY_SECONDS} seconds (100 years)")
    return float(seconds)


def check_priority(priority: object) -> TaskPriority:
    """Return a priority if it is one.

    Raises:
        ValueError: it is none of the four.
    """
    if isinstance(priority, TaskPriority):
        return priority
    if isinstance(priority, int) and not isinstance(priority, bool) and priority in set(TaskPriority):
        return TaskPriority(priority)
    names = ", ".join(f"TaskPriority.{known.name} ({known.value})" for known in TaskPriority)
    raise ValueError(f"priority {priority!r} is unknown: it is one of {names}")


def check_expiry(expires_in: object) -> float:
    """Return a number of seconds after which a task that has not started is not wanted any more.

    Raises:
        TypeError: it is no number.
        ValueError: it is not positive, NaN, or more than a hundred years.
    """
    seconds = check_delay("expires_in", expires_in)
    if seconds < _SHORTEST_EXPIRY_S:
        raise ValueError(f"expires_in {expires_in} is out of range: a task needs at least 1 ms to be started in")
    return seconds


def check_result_ttl(result_ttl: object) -> int:
    """Return for how many ms a result is to be kept; only 0 is 0.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, NaN, or more than a hundred years.
    """
    return math.ceil(check_delay("result_ttl", result_ttl) * 1000)


def check_timeout(timeout: object) -> float:
    """Return a number of seconds that an attempt may take.

    Raises:
        TypeError: it is no number.
        ValueError: it is not positive, NaN, or more than a hundred years.
    """
    seconds = check_delay("timeout", timeout)
    if seconds < _SHORTEST_TIMEOUT_S:
        raise ValueError(f"timeout {timeout} is out of range: an attempt needs at least 1 ms; None means no limit")
    return seconds


def check_key(name: str, key: object) -> str:
    """Return a key of the caller's if it is one.

    Raises:
        TypeError: it is no string.
        ValueError: it is empty, too long or not printable.
    """
    if not isinstance(key, str):
        raise TypeError(f"{name} {key!r} is {_a(key)}, it must be a string such as 'customer-42'")
    if not 0 < len(key) <= MAX_NAME_CHARS or not key.isprintable():
        raise ValueError(f"{name} {key[:40]!r} is not usable: it takes 1 to {MAX_NAME_CHARS} printable characters")
    return key


def check_tags(tags: object) -> tuple[str, ...]:
    """Return tags if they are some.

    Raises:
        TypeError: they are no list of strings.
        ValueError: there are too many, or one is not usable.
    """
    if tags == ():
        return ()
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise TypeError(f"tags {tags!r} is {_a(tags)}, it must be a list of strings: ['nightly']")
    found = tuple(check_key("tag", tag) for tag in tags)
    if len(found) > MAX_TAGS:
        raise ValueError(f"{len(found)} tags are too many: at most {MAX_TAGS}")
    return found


def check_percent(percent: object) -> float:
    """Return how far something has come if that is what it says.

    Raises:
        TypeError: it is no number.
        ValueError: it is NaN, below 0 or above 100.
    """
    if not isinstance(percent, (int, float)) or isinstance(percent, bool):
        raise TypeError(f"percent {percent!r} is {_a(percent)}, it must be a number from 0 to 100")
    # NaN is in no range.
    if not 0 <= percent <= 100:
        raise ValueError(f"percent {percent} is out of range: 0 to 100; for a fraction pass 100 * done / total")
    return float(percent)


def check_message(message: object) -> str:
    """Return what to show beside a progress, no longer than may be: it is not worth failing a task for.

    Raises:
        TypeError: it is no string.
    """
    if not isinstance(message, str):
        raise TypeError(f"message {message!r} is {_a(message)}, it must be a string")
    return message if len(message) <= MAX_MESSAGE_CHARS else f"{message[: MAX_MESSAGE_CHARS - 1]}…"


def check_unique(unique: object) -> str:
    """Return what to do about a taken unique key, if that is known.

    Raises:
        ValueError: it is not.
    """
    if unique not in UNIQUE_MODES:
        raise ValueError(f"unique {unique!r} is unknown: it is one of {', '.join(map(repr, UNIQUE_MODES))}")
    return str(unique)


def check_limits(max_running: object, rate: object, per_seconds: object) -> Pace:
    """Return the limits of a queue if they are some.

    Raises:
        TypeError: one is no number.
        ValueError: one is out of range.
    """
    seconds = check_delay("per_seconds", per_seconds)
    if seconds < _SHORTEST_RATE_S:
        raise ValueError(f"per_seconds {per_seconds} is out of range: 0.001 to {MAX_DELAY_SECONDS} seconds")
    return Pace(_limit("max_running", max_running), _limit("rate", rate), round(seconds * 1_000_000))


def _limit(name: str, number: object) -> int:
    if number is None:
        return 0
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name} {number!r} is {_a(number)}, it must be an integer, or None for no limit")
    if not 1 <= number <= MAX_LIMIT:
        raise ValueError(f"{name} {number} is out of range: 1 to {MAX_LIMIT:,}; to start nothing, use pause_queue()")
    return number


def check_durability(durability: object) -> str | None:
    """Return how safe a task has to be before its enqueue returns, if that is known; None: as the settings say.

    Raises:
        ValueError: it is not.
    """
    if durability is not None and durability not in DURABILITIES:
        raise ValueError(f"durability {durability!r} is unknown: it is one of {', '.join(map(repr, DURABILITIES))}")
    return None if durability is None else str(durability)


def check_eta(eta: object) -> int:
    """Return a point in time as ms since 1970. A naive datetime is the caller's local time.

    Raises:
        TypeError: it is no datetime.
        ValueError: it can't be told in ms since 1970.
    """
    if not isinstance(eta, datetime):
        raise TypeError(f"eta {eta!r} is {_a(eta)}, it must be a datetime; for seconds from now use delay_seconds")
    try:
        ms = max(0, round(eta.timestamp() * 1000))
        # Whoever reads the task will want a datetime back, and the last moments of 9999 have none to round up to.
        datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"eta {eta!r} is out of range: {error}") from error
    return ms


def _a(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
