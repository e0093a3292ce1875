"""Replacing who has served long enough."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from .memory import resident_mb
from .program import Limits
from .words import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .child import Child
    from .slot import Slot

logger = logging.getLogger("singleton_service.supervisor")

_LOOK_EVERY_S = 0.5
# One that died before it served is followed by another after this.
_NEXT_S = 10.0


class Relief:
    """Has one at a time followed by another, the oldest first, which serves before the old one is told to end.

    So work never stands still, and there is never more than one process too many. Used by the supervisor's loop alone.

    Args:
        limits: what is long enough.
        slots: all places.
        start: starts a process for a place; None when there is none to be had.
    """

    def __init__(self, limits: Limits, slots: Sequence[Slot], start: Callable[[Slot], Child | None]) -> None:
        self._limits = limits
        self._slots = slots
        self._start = start
        self._look_at = math.inf if limits == Limits() else 0.0
        self._slot: Slot | None = None

    def next_s(self, now: float) -> float:
        """Return how long to wait until `look` is to be called, in seconds."""
        return self._look_at - now

    def look(self, now: float) -> None:
        """Hand over where the next one serves, and start the next where one has served long enough."""
        slot = self._slot
        if slot is not None and slot.successor is not None and slot.successor.serves:
            leaver = slot.succeed()
            if leaver is not None:
                leaver.tell(Order.RETIRE)
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY_S
        if self._slot is None:
            self._relieve_oldest()

    def note_end(self, slot: Slot, *, was_successor: bool) -> None:
        """Note that one of a place has ended, who did not serve there now."""
        if slot is self._slot:
            self._slot = None
            if was_successor:
                self._look_at = time.monotonic() + _NEXT_S

    def break_off(self) -> None:
        """Forget who is being replaced: all are, or the old one has died."""
        self._slot = None

    def _relieve_oldest(self) -> None:
        serving = [(slot.child.began_at, slot, slot.child) for slot in self._slots if slot.child and slot.child.serves]
        # By age: in the order of places the first one's successors would have served enough for ever.
        for _, slot, child in sorted(serving, key=lambda each: each[0]):
            if (why := self._served_enough(child)) is None:
                continue
            slot.successor = self._start(slot)
            if slot.successor is None:
                self._look_at = time.monotonic() + _NEXT_S
            else:
                self._slot = slot
                logger.info("%s, pid %d, %s: starting another one in its place", child.name, child.pid, why)
            return

    def _served_enough(self, child: Child) -> str | None:
        limits = self._limits
        if limits.tasks is not None and child.tasks >= limits.tasks:
            return f"has done {child.tasks} tasks"
        if limits.memory_mb is not None and (has_mb := resident_mb(child.pid)) > limits.memory_mb:
            return f"has {has_mb:.0f} MB of memory"
        return None
