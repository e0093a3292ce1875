"""Which of the instants that have come are fired, and which were missed. Pure: no clock, no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .definition import Definition

# What is fired within this is late, not missed: a scheduler that was killed, a server that was just restarted.
LATE_MS = 10_000
# missed="all" makes up for so many, the latest ones.
MOST_MADE_UP = 100
# No more are looked at, and so none more counted, when a schedule comes back after a long time.
_MOST_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about a schedule whose instant has come.

    Attributes:
        fires: the instants to enqueue, oldest first.
        missed: how many are not enqueued.
        next_ms: the instant after them; None when there is none any more.
    """

    fires: tuple[int, ...]
    missed: int
    next_ms: int | None


def plan_fires(definition: Definition, instant_ms: int, now_ms: int, runs: int) -> Plan:
    """Decide about all instants from *instant_ms*, the first that was not seen to, up to now.

    Args:
        definition: of the schedule.
        instant_ms: not after now.
        now_ms: the server's time.
        runs: how often it has fired before.
    """
    come = _come(definition, instant_ms, now_ms)
    chosen = [instant for instant in come if now_ms - instant <= LATE_MS]
    if definition.missed == "all":
        chosen = come
    elif definition.missed == "one" and not chosen:
        chosen = come[:1]
    fires = chosen[:MOST_MADE_UP][::-1]
    missed = len(come) - len(fires)
    if definition.max_runs is not None:
        fires = fires[: max(0, definition.max_runs - runs)]
    return Plan(tuple(fires), missed, definition.next_after(max(now_ms, come[0])))


def _come(definition: Definition, instant_ms: int, now_ms: int) -> list[int]:
    """Return the instants that have come, latest first."""
    latest = definition.recurrence.latest
    found: list[int] = []
    at_ms = latest(now_ms if definition.until_ms is None else min(now_ms, definition.until_ms))
    while at_ms > instant_ms and len(found) < _MOST_LOOKED_AT:
        found.append(at_ms)
        at_ms = latest(at_ms - 1)
    if len(found) < _MOST_LOOKED_AT:
        # The stored one counts even where the rules of its time zone have changed since.
        found.append(instant_ms)
    return found
