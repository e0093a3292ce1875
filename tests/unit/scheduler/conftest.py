"""A clock to set, and a timetable that writes down what came due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.expressions import parse
from singleton_service.background.scheduler.definition import Definition
from singleton_service.background.scheduler.timetable import Entry, Timetable

if TYPE_CHECKING:
    from collections.abc import Sequence

# 2024-03-10 12:00:00 UTC
NOON_MS = 1_710_072_000_000


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self._now_ms = now_ms

    def __call__(self) -> int:
        return self._now_ms

    def advance(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)


class Journal:
    """What was seen to: (schedule id, instant). Each goes on to its next instant."""

    def __init__(self, clock: Clock) -> None:
        self.timetable = Timetable(clock, self._note)
        self.fires: list[tuple[str, int]] = []
        self.batches: list[int] = []

    def add(self, schedule_id: str, expression: str) -> Entry:
        definition = Definition("tick", b"{}", parse(expression), "default")
        next_ms = definition.next_after(self.timetable.clock_ms())
        assert next_ms is not None
        return self.timetable.add(schedule_id, definition, 1, next_ms)

    def _note(self, entries: Sequence[Entry]) -> None:
        self.batches.append(len(entries))
        for entry in entries:
            self.fires.append((entry.id, entry.instant_ms))
            next_ms = entry.definition.next_after(self.timetable.clock_ms())
            assert next_ms is not None
            self.timetable.arm(entry, next_ms, entry.runs + 1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(clock: Clock) -> Journal:
    return Journal(clock)


@pytest.fixture
def timetable(journal: Journal) -> Timetable:
    return journal.timetable
