"""For which queues a process beats now."""

from __future__ import annotations

import pytest

from singleton_service.background.task_queue.rhythm import Rhythm

QUEUES = ["critical", "default", "low"]


@pytest.fixture
def rhythm() -> Rhythm:
    """One that has beaten for all queues at 0, and found nobody else there."""
    rhythm = Rhythm(2.5)
    assert rhythm.due(QUEUES, (), 0) == QUEUES
    for queue in QUEUES:
        rhythm.beaten(queue, 1, 0)
    return rhythm


def beats(rhythm: Rhythm, now: float, busy: tuple[str, ...] = ()) -> list[str]:
    due = rhythm.due(QUEUES, busy, now)
    for queue in due:
        rhythm.beaten(queue, 1, now)
    return due


def test_where_nothing_is_held_and_nobody_else_is_queues_take_turns(rhythm: Rhythm) -> None:
    assert [beats(rhythm, 0.75 * n) for n in range(1, 7)] == [["critical"], ["default"], ["low"]] * 2


def test_where_something_is_held_it_beats_each_time(rhythm: Rhythm) -> None:
    assert [beats(rhythm, 0.75 * n, ("low",)) for n in range(1, 4)] == [["low"]] * 3


def test_no_queue_rests_for_longer_than_it_may(rhythm: Rhythm) -> None:
    for n in range(1, 4):
        beats(rhythm, 0.75 * n, ("low",))
    assert beats(rhythm, 3.0, ("low",)) == QUEUES


def test_where_others_work_it_beats_each_time(rhythm: Rhythm) -> None:
    rhythm.beaten("default", 2, 0.75)
    assert rhythm.due(QUEUES, (), 1.5) == ["default"]
    rhythm.beaten("default", 1, 1.5)
    assert rhythm.due(QUEUES, (), 2.25) == ["critical"]


def test_after_an_outage_it_beats_for_all(rhythm: Rhythm) -> None:
    rhythm.begin_anew()
    assert rhythm.due(QUEUES, (), 0.75) == QUEUES
