"""In which order queues are taken: strictly one before the other, or each by its weight."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .ids import check_queue

if TYPE_CHECKING:
    from typing import TypeAlias

    Queues: TypeAlias = str | Iterable[str] | Mapping[str, int]

MAX_WEIGHT = 1000
_WEIGHT = re.compile(r"[0-9]{1,4}")
_REMEMBERED_ORDERS = 100


@dataclass(frozen=True, slots=True)
class QueueOrder:
    """Queues, and how they share a worker. `weights`: one per name; None for strict order."""

    names: tuple[str, ...]
    weights: tuple[int, ...] | None = None

    def __str__(self) -> str:
        """Write it as one may say it: "critical,default" or "critical:6,default:3"."""
        if self.weights is None:
            return ",".join(self.names)
        return ",".join(f"{name}:{weight}" for name, weight in zip(self.names, self.weights, strict=True))


DEFAULT_ORDER = QueueOrder(("critical", "default", "low"))


def queue_order(queues: Queues | None) -> QueueOrder:
    """Return the order that a caller asks for.

    Args:
        queues: "critical,default,low" or ["critical", "default"] for strict order; "critical:6,low:1",
            ["critical:6", "low:1"] or {"critical": 6, "low": 1} for turns by weight. None: the default queues.

    Raises:
        TypeError: it is none of these.
        ValueError: a name or a weight can't be used; the message shows which.
    """
    if queues is None:
        return DEFAULT_ORDER
    if isinstance(queues, Mapping):
        pairs = [(_check_name(queues, name), _check_weight(queues, weight)) for name, weight in queues.items()]
        return _weighted(queues, pairs)
    if not isinstance(queues, Iterable) or isinstance(queues, bytes):
        raise TypeError(
            f"queues {queues!r} is of type {type(queues).__name__}: pass 'critical,default,low' for strict order, or "
            "'critical:6,default:3,low:1' for turns by weight"
        )
    shown = queues if isinstance(queues, str) else list(queues)
    parts = [part.strip() for part in shown.split(",")] if isinstance(shown, str) else shown
    if not parts or parts == [""]:
        raise ValueError(f"queues {shown!r} is empty: name at least one, or leave it out")
    if not any(_has_weight(part) for part in parts):
        return QueueOrder(tuple(dict.fromkeys(_check_name(shown, part) for part in parts)))
    return _weighted(shown, [_parse(shown, part) for part in parts])


class Turns:
    """Whose turn it is among queues that have work. In strict order: always the first one's.

    With weights: each queue stands at the moment its next turn comes, on a clock that counts tasks. Taking *n* tasks
    moves it on by n / weight, and the one that stands earliest is next. So the tasks taken are shared by weight to
    within a turn, whatever the number a turn brings, and none waits for ever; a queue that had no work is put level
    with the clock, so it has saved nothing up, and its share had gone to the others.
    """

    def __init__(self, order: QueueOrder) -> None:
        self.order = order
        self._weights = dict(zip(order.names, order.weights, strict=True)) if order.weights else None
        self._stands_at = dict.fromkeys(order.names, 0.0)
        self._clock = 0.0

    def sorted(self, queues: Iterable[str] | None = None) -> list[str]:
        """Return these queues (given in the order's own order; all unless given), the next one's first."""
        candidates = list(self.order.names if queues is None else queues)
        if self._weights is not None:
            candidates.sort(key=self._standing)
        return candidates

    def took(self, queue: str, number: int) -> None:
        """Note that so many tasks were taken from a queue."""
        if self._weights is not None:
            self._clock = self._standing(queue)
            self._stands_at[queue] = self._clock + number / self._weights[queue]

    def share(self, queue: str, queues: Iterable[str], room: int) -> int:
        """Return how much of *room* a queue may fill in one turn, when these queues have work; at least 1."""
        if self._weights is None:
            return room
        return max(1, room * self._weights[queue] // sum(self._weights[other] for other in queues))

    def _standing(self, queue: str) -> float:
        return max(self._clock, self._stands_at[queue])


@functools.lru_cache(_REMEMBERED_ORDERS)
def turns_of(order: QueueOrder) -> Turns:
    """Return the turns that all callers of this process with the same order share."""
    return Turns(order)


def _has_weight(part: object) -> bool:
    return isinstance(part, str) and ":" in part


def _parse(shown: object, part: object) -> tuple[str, int]:
    if not isinstance(part, str) or ":" not in part:
        raise ValueError(
            f"queues {shown!r}: {part!r} has no weight, and others have one: give each a weight, such as '{part}:1', "
            "or none of them for strict order"
        )
    name, _, weight = part.partition(":")
    if not _WEIGHT.fullmatch(weight.strip()):
        raise ValueError(f"queues {shown!r}: weight {weight!r} of {part!r} is no whole number from 1 to {MAX_WEIGHT:,}")
    return _check_name(shown, name.strip()), _check_weight(shown, int(weight))


def _weighted(shown: object, pairs: list[tuple[str, int]]) -> QueueOrder:
    names = tuple(name for name, _ in pairs)
    if not names:
        raise ValueError("queues is empty: name at least one, or leave it out")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"queues {shown!r} names {twice!r} twice: which weight holds? Name it once")
    return QueueOrder(names, tuple(weight for _, weight in pairs))


def _check_name(shown: object, name: object) -> str:
    try:
        return check_queue(name)
    except ValueError as error:
        raise ValueError(f"queues {shown!r}: {error}") from None


def _check_weight(shown: object, weight: object) -> int:
    if isinstance(weight, int) and not isinstance(weight, bool) and 1 <= weight <= MAX_WEIGHT:
        return weight
    raise ValueError(
        f"queues {shown!r}: weight {weight!r} is out of range: a whole number from 1 to {MAX_WEIGHT:,}. To leave a "
        "queue out, don't name it"
    )
