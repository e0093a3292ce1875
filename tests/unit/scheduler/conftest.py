"""A clock to set, and entries that write down what they fired."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.expressions import parse
from singleton_service.background.scheduler.timetable import Entry, Timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singleton_service.background.scheduler.loop import Loop

# 2024-03-10 12:00:00 UTC
NOON_MS = 1_710_072_000_000


class Clock:
    """Stands still until it is moved; `ticking` makes it go on by itself as well."""

    def __init__(self, now_ms: int = NOON_MS, *, ticking: bool = False) -> None:
        self._base_ms = now_ms
        self._since = time.monotonic() if ticking else None

    def __call__(self) -> int:
        return self._base_ms + (0 if self._since is None else round((time.monotonic() - self._since) * 1000))

    def advance(self, seconds: float) -> None:
        self._base_ms += round(seconds * 1000)


class Journal:
    """What was fired: (schedule id, instant)."""

    def __init__(self) -> None:
        self.fires: list[tuple[str, int]] = []
        self.failing: dict[str, BaseException] = {}

    def entry(self, timetable: Timetable, schedule_id: str, expression: str) -> Entry:
        return Entry(timetable, schedule_id, "tick", parse(expression), self._note)

    def _note(self, entry: Entry) -> None:
        if (error := self.failing.get(entry.id)) is not None:
            raise error
        self.fires.append((entry.id, entry.instant_ms))

    def instants(self, schedule_id: str) -> list[int]:
        return [instant for fired, instant in self.fires if fired == schedule_id]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def timetable(clock: Clock) -> Timetable:
    return Timetable(clock)


@pytest.fixture
def run() -> Iterator[Callable[[Loop], Loop]]:
    """Start a loop that is stopped at the end of the test."""
    started: list[Loop] = []

    def start(loop: Loop) -> Loop:
        loop.start()
        started.append(loop)
        return loop

    yield start
    for loop in started:
        loop.stop()
        assert loop.join(10)
        assert not loop.is_running
