"""Queues whose next tasks find no place here, while others behind them would: when to look there, and how deep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .job import Job

# What it costs the server and this process to carry a task to and fro, and how much of the time may go for that.
_TASK_S, _BYTE_S = 25e-6, 2.5e-9
_SHARE = 0.025
_LONGEST_S = 1.0
# While nothing is found, looks go twice as deep each time, and at first so deep.
_FIRST_DEPTH = 50


@dataclass(slots=True)
class _Crowd:
    """What stands in the way.

    Attributes:
        kind: that of the first of them.
        depth: how many to look past.
        look_at: time.monotonic() of the next look.
    """

    kind: str
    depth: int
    look_at: float


class Crowding:
    """Keeps looks into crowded queues apart.

    A fetch takes tasks in their order, whatever they are. Those for which there is no room here go back at once, to the
    head of their queue and uncounted: anybody may take them. From then on the queue is crowded by the kind of the first
    of them. It is asked again when that kind has room. For the sake of other kinds there are looks past what stands in
    the way, so far apart that at most a fortieth of the time goes for tasks that come for nothing, and no more than a
    second. What lies behind more tasks of a busy kind than one fetch may bring is not found.
    """

    def __init__(self) -> None:
        self._crowds: dict[str, _Crowd] = {}

    @property
    def queues(self) -> list[str]:
        """The queues that are crowded."""
        return list(self._crowds)

    def turned_away(self, queue: str, jobs: list[Job], now: float, *, took_any: bool) -> None:
        """Note that these jobs went back; *took_any*: others that came with them found a place."""
        cost_s = sum(_TASK_S + _BYTE_S * len(job.lease.body) for job in jobs)
        look_at = now + min(_LONGEST_S, cost_s / _SHARE)
        depth = len(jobs) if took_any else max(_FIRST_DEPTH, 2 * len(jobs))
        kind = jobs[0].kind
        assert kind is not None, "there was a lane for it, and that was full"
        self._crowds[queue] = _Crowd(kind, depth, look_at)

    def took_all(self, queue: str, number: int, *, looked_past: bool, is_full: bool) -> None:
        """Note that all that a fetch brought found a place; *is_full*: there may be more."""
        crowd = self._crowds.get(queue)
        if crowd is None:
            return
        if looked_past or not is_full:
            del self._crowds[queue]
        else:
            crowd.depth = max(0, crowd.depth - number)

    def room(self, queue: str, rooms: Mapping[str, int], now: float) -> tuple[int, int]:
        """Return how many tasks to fetch from a queue now: so many for which there is room, past so many in the way."""
        crowd = self._crowds.get(queue)
        if crowd is None:
            return max(rooms.values()), 0
        if rooms[crowd.kind]:
            return rooms[crowd.kind], 0
        others = max(rooms.values())
        return (others, crowd.depth) if others and now >= crowd.look_at else (0, 0)

    def wait_s(self, rooms: Mapping[str, int], now: float) -> float:
        """Return the seconds until the next look past something; infinite when nobody has room."""
        if not max(rooms.values()):
            return float("inf")
        return max(0.0, min((crowd.look_at - now for crowd in self._crowds.values()), default=float("inf")))
