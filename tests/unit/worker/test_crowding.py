"""When to look into a queue whose next tasks find no place here, and how deep."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from singleton_service.background.task_queue.handlers import Handler
from singleton_service.background.task_queue.lease import Lease
from singleton_service.background.worker.crowding import Crowding
from singleton_service.background.worker.job import Job

if TYPE_CHECKING:
    from singleton_service.background.worker.executor import Kind


def jobs(number: int, kind: Kind = "thread", size: int = 100) -> list[Job]:
    made = []
    for n in range(number):
        job = Job(Lease("default", f"u{n}", 1, "w", b"1|w", b"x" * size, 0, 0), is_marked=False)
        job.handler = Handler("job", print)
        job.kind = kind
        made.append(job)
    return made


def test_a_queue_that_is_not_crowded_gives_what_there_is_room_for() -> None:
    crowding = Crowding()
    assert crowding.room("default", {"thread": 3, "async": 100}, 0) == (100, 0)
    assert crowding.queues == []
    assert crowding.wait_s({"thread": 1}, 0) == math.inf


def test_it_is_asked_again_when_the_kind_that_was_full_has_room() -> None:
    crowding = Crowding()
    crowding.turned_away("default", jobs(40), 0, took_any=False)
    assert crowding.room("default", {"thread": 0, "async": 100}, 0) == (0, 0)
    assert crowding.room("default", {"thread": 2, "async": 100}, 0) == (2, 0)
    assert crowding.room("low", {"thread": 0, "async": 100}, 0) == (100, 0)


def test_a_look_past_what_stands_in_the_way_comes_the_later_the_more_went_back() -> None:
    rooms: dict[str, int] = {"thread": 0, "async": 100}
    for number, wait_s in ((1, 0.001), (40, 0.04), (1000, 1.0)):
        crowding = Crowding()
        crowding.turned_away("default", jobs(number, size=0), 10, took_any=True)
        assert math.isclose(crowding.wait_s(rooms, 10), wait_s)
        assert crowding.room("default", rooms, 10 + wait_s + 1e-6) == (100, number)
    crowding.turned_away("default", jobs(100, size=1_000_000), 10, took_any=True)
    assert crowding.wait_s(rooms, 10) == 1.0


def test_looks_that_find_nothing_go_deeper() -> None:
    crowding = Crowding()
    for number, depth in ((4, 50), (54, 108), (112, 224)):
        crowding.turned_away("default", jobs(number), 0, took_any=False)
        assert crowding.room("default", {"thread": 0, "async": 4}, 9) == (4, depth)


def test_nobody_looks_while_nobody_has_room() -> None:
    crowding = Crowding()
    crowding.turned_away("default", jobs(40), 0, took_any=False)
    assert crowding.room("default", {"thread": 0, "async": 0}, 9) == (0, 0)
    assert crowding.wait_s({"thread": 0, "async": 0}, 0) == math.inf


def test_it_is_over_when_a_look_finds_a_place_for_all_or_the_queue_is_empty() -> None:
    for looked_past, is_full, is_over in ((True, True, True), (False, False, True), (False, True, False)):
        crowding = Crowding()
        crowding.turned_away("default", jobs(40), 0, took_any=True)
        crowding.took_all("default", 30, looked_past=looked_past, is_full=is_full)
        assert (crowding.queues == []) is is_over
    assert crowding.room("default", {"thread": 0, "async": 5}, 9) == (5, 10), "so many fewer stand in the way"
