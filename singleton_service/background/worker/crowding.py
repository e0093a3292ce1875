"""Queues whose next tasks find no place here: when to ask them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Where tasks come for which there is no place, each wakes somebody: it is asked no more often than that.
_QUIET_S = 0.005


class Crowding:
    """Remembers what a fetch left in a queue for want of a place here.

    A fetch says how many tasks of each lane there is room for. It passes over what is beyond that, and finds what lies
    behind; see fetch.lua. What it passed over is asked for when its lane has room. Times are `time.monotonic()`, in
    seconds.
    """

    def __init__(self) -> None:
        self._left: dict[str, set[str]] = {}
        self._quiet_until: dict[str, float] = {}

    def left(self, queue: str, lanes: Iterable[str], now: float, *, took_any: bool) -> None:
        """Note of which lanes tasks were left by a fetch that else took some, or nothing."""
        left = set(lanes)
        if not left:
            self.forget(queue)
            return
        self._left[queue] = left
        if not took_any:
            self._quiet_until[queue] = now + _QUIET_S

    def turned_away(self, queue: str, lanes: Iterable[str]) -> None:
        """Note that tasks of these lanes went back after all."""
        self._left.setdefault(queue, set()).update(lanes)

    @property
    def queues(self) -> list[str]:
        """The queues in which something was left."""
        return list(self._left)

    def has_room(self, queue: str, rooms: Mapping[str, int]) -> bool:
        """Whether there is room by now for some of what was left."""
        return any(rooms.get(lane) for lane in self._left.get(queue, ()))

    def forget(self, queue: str) -> None:
        """Ask again at once."""
        self._left.pop(queue, None)
        self._quiet_until.pop(queue, None)

    def quiet_s(self, now: float) -> dict[str, float]:
        """Return the queues not to ask yet, and for how many seconds."""
        return {queue: until - now for queue, until in self._quiet_until.items() if until > now}
