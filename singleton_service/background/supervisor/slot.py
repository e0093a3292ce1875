"""A place for one process of a program: who is there, who comes next, who is about to leave."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from singleton_service.workers._supervisor import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .child import Child
    from .program import Program

_FIRST_RESTART_S = 0.05
_LONGEST_RESTART_S = 30.0


class Slot:
    """Used by the supervisor's loop alone.

    Attributes:
        child: who is there; None while nobody is.
        successor: who is to take its place as soon as it serves.
        leaving: who were there, and are at their last tasks.
        start_at: when the next child is to be started, time.monotonic() seconds; infinite when that is not decided.
        is_done: its program has done its part here.
    """

    def __init__(self, name: str, program: Program, start_at: float) -> None:
        self.name = name
        self.program = program
        self.child: Child | None = None
        self.successor: Child | None = None
        self.leaving: list[Child] = []
        self.start_at = start_at
        self.is_done = False
        self._backoff = Backoff(_FIRST_RESTART_S, _LONGEST_RESTART_S)

    def everybody(self) -> Iterator[Child]:
        """Yield all processes that are there."""
        yield from (child for child in (self.child, self.successor, *self.leaving) if child is not None)

    def after_death_s(self, lived_s: float) -> float:
        """Return how long to wait before the next start: the longer, the more often they die, up to half a minute.

        Who lived for that long has begun anew.
        """
        return self._backoff.after(lived_s)

    def bury(self, dead: Child) -> None:
        """Forget one that is dead."""
        if dead is self.child:
            self.child = None
        elif dead is self.successor:
            self.successor = None
        else:
            self.leaving.remove(dead)

    def succeed(self) -> Child | None:
        """Let the successor take the place, and return who leaves."""
        leaver, self.child, self.successor = self.child, self.successor, None
        if leaver is not None:
            self.leaving.append(leaver)
        self.start_at = math.inf
        return leaver
