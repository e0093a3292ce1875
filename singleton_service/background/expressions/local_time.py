"""From what a clock on the wall shows to the instants at which it shows it. Pure.

Walls are naive datetimes, instants aware ones in UTC. A zone's clock jumps forward now and then, and some walls never
come; it jumps back, and some come twice. Two rules say what a schedule makes of that:

- **once**: a wall is due at the first instant at which the clock shows it or a later one. So each wall has its one
  instant: what never comes is due when the gap ends, what comes twice the first time.
- **each**: a wall is due whenever the clock shows it: never, once or twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    Walls = Callable[[datetime], Iterable[datetime]]

_SECOND = timedelta(seconds=1)


def wall_at(instant: datetime, zone: tzinfo) -> datetime:
    """Return what a zone's clock shows; `fold` is 1 when it does so for the second time."""
    return instant.astimezone(zone).replace(tzinfo=None)


def first_shown(wall: datetime, zone: tzinfo) -> datetime:
    """Return the first instant at which a zone's clock shows a wall or a later one."""
    instant = _read(wall, zone, fold=0)
    if wall_at(instant, zone) == wall:
        return instant
    # In a gap the clock before it would show the wall after the jump, and the clock after it before the jump.
    return _jump(_read(wall, zone, fold=1), instant, zone)


def each_shown(wall: datetime, zone: tzinfo) -> list[datetime]:
    """Return the instants at which a zone's clock shows a wall, none to two, in order."""
    passes = (_read(wall, zone, fold=0), _read(wall, zone, fold=1))
    return sorted({instant for instant in passes if wall_at(instant, zone) == wall})


def next_once(after: Walls, now: datetime, zone: tzinfo) -> datetime:
    """Return the first instant after *now* by the rule "once".

    Args:
        after: gives the walls after one, in order.
        now: an instant.
        zone: whose clock it is.
    """
    # In a second pass the next walls were due in the first.
    return next(due for wall in after(wall_at(now, zone)) if (due := first_shown(wall, zone)) > now)


def latest_once(until: Walls, now: datetime, zone: tzinfo) -> datetime:
    """Return the last instant at or before *now* by the rule "once"; *until* gives the walls up to one, backwards."""
    wall = wall_at(now, zone)
    if wall.fold:
        # The clock has shown later walls than this one.
        wall += _read(wall, zone, fold=1) - _read(wall, zone, fold=0)
    return next(due for wall in until(wall) if (due := first_shown(wall, zone)) <= now)


def next_each(after: Walls, now: datetime, zone: tzinfo) -> datetime:
    """Return the first instant after *now* by the rule "each"."""
    wall = wall_at(now, zone)
    found = next(_after(now, after(wall), zone))
    passes = each_shown(wall, zone)
    if len(passes) == 2 and not wall.fold:
        # In a first pass: what was shown of it comes again, maybe before anything new does.
        jump = _jump(now, passes[1], zone)
        found = min(found, next(_after(jump - _SECOND, after(wall_at(jump, zone) - _SECOND), zone)))
    return found


def latest_each(until: Walls, now: datetime, zone: tzinfo) -> datetime:
    """Return the last instant at or before *now* by the rule "each"."""
    wall = wall_at(now, zone)
    found = next(_until(now, until(wall), zone))
    if wall.fold:
        # In a second pass: the rest of the first lies behind, too.
        last = _jump(_read(wall, zone, fold=0), now, zone) - _SECOND
        found = max(found, next(_until(last, until(wall_at(last, zone)), zone)))
    return found


def _after(now: datetime, walls: Iterable[datetime], zone: tzinfo) -> Iterator[datetime]:
    return (due for wall in walls for due in each_shown(wall, zone) if due > now)


def _until(now: datetime, walls: Iterable[datetime], zone: tzinfo) -> Iterator[datetime]:
    return (due for wall in walls for due in reversed(each_shown(wall, zone)) if due <= now)


def _read(wall: datetime, zone: tzinfo, *, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _jump(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return when the clock jumped, between two instants of which one lies before it and one after it, or at it."""
    offset = before.astimezone(zone).utcoffset()
    earlier, later = before.replace(microsecond=0), after.replace(microsecond=0)
    while later - earlier > _SECOND:
        between = (earlier + (later - earlier) / 2).replace(microsecond=0)
        if between.astimezone(zone).utcoffset() == offset:
            earlier = between
        else:
            later = between
    return later
