"""What one executor has in hand, and how much more it has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.task_queue.lease import Lease
from singleton_service.background.worker.job import Ending, Job
from singleton_service.background.worker.lane import Lane
from singleton_service.background.worker.lookahead import PORTION

if TYPE_CHECKING:
    from singleton_service.background.worker.executor import Kind
    from singleton_service.background.worker.seat import Order

RANKS = {"critical": 0, "default": 1, "low": 2}


class Places:
    """An executor that begins what it is told to."""

    is_callers = False

    def __init__(self, size: int, kind: Kind) -> None:
        self.size = size
        self.kind = kind
        self.inbox: list[Job] = []

    def start(self) -> None: ...

    def submit(self, job: Job) -> None:
        self.inbox.append(job)

    def cancel(self, job: Job, order: Order) -> None: ...

    def abandon(self, job: Job) -> None: ...

    def take_back(self) -> list[Job]:
        taken, self.inbox = self.inbox, []
        return taken

    def close(self) -> None: ...

    def join(self, timeout_s: float) -> None: ...

    def alive(self) -> list[str]:
        return []

    def begin(self, *which: int) -> list[Job]:
        begun = [self.inbox[n] for n in which]
        for job in begun:
            self.inbox.remove(job)
            job.has_begun = True
        return begun


def lane_of(size: int, kind: Kind = "thread") -> tuple[Lane, Places]:
    places = Places(size, kind)
    return Lane(places, RANKS), places


def jobs(number: int, queue: str = "default") -> list[Job]:
    return [Job(Lease(queue, f"u{n}", 1, "w", b"1|w", b"", 0, 0), is_marked=False) for n in range(number)]


def room(lane: Lane, queue: str | None = "default", now: float = 0) -> int:
    return lane.room(queue, now, to_run_dry=False)


def test_at_first_there_is_room_for_what_begins_at_once() -> None:
    lane, places = lane_of(4)
    assert (lane.idle, room(lane), lane.capacity("default", 0)) == (4, 4, 4)
    lane.put(jobs(3), 0)
    assert (lane.idle, room(lane), lane.capacity("default", 0)) == (1, 1, 1)
    lane.put(jobs(1), 0)
    assert (lane.idle, room(lane), lane.capacity("default", 0)) == (0, 0, 0)
    places.begin(0, 1, 2, 3)
    assert room(lane) == 0
    lane.ended([10.0], 1, 0)
    assert room(lane) == 1


def test_short_jobs_are_held_ready_unless_it_is_to_run_dry() -> None:
    lane, _ = lane_of(4)
    lane.ended([0.01], 0, 0)
    assert (room(lane), lane.room("default", 0, to_run_dry=True)) == (104, 4)
    lane.put(jobs(60), 0)
    assert (room(lane), lane.capacity("default", 0)) == (0, 44), "enough waits; but what comes all the same is taken"


def test_of_the_shortest_jobs_a_portion_is_asked_for_while_another_is_worked_at() -> None:
    lane, _ = lane_of(4)
    lane.ended([0.0], 0, 0)
    lane.put(jobs(PORTION + 4), 0)
    assert room(lane) == PORTION
    lane.put(jobs(PORTION), 0)
    assert room(lane) == 0
    lane.ended([0.0] * (PORTION // 2), PORTION // 2, 0)
    assert room(lane) == PORTION // 2, "soon enough for the server to look for it in the meantime"


def test_plenty_waits_when_another_round_does_and_no_more_is_wanted() -> None:
    lane, places = lane_of(4)
    lane.ended([0.01], 0, 0)
    lane.put(jobs(4), 0)
    assert not lane.has_plenty("default", 0)
    lane.put(jobs(60), 0)
    assert lane.has_plenty("default", 0)
    assert not lane.has_plenty("critical", 0), "which overtakes them"
    places.begin(*range(60))
    lane.note_begun()
    assert not lane.has_plenty("default", 0)


def test_what_is_to_run_dry_gets_nothing_while_anything_waits() -> None:
    lane, places = lane_of(4)
    lane.put(jobs(2), 0)
    assert (room(lane), lane.room("default", 0, to_run_dry=True)) == (2, 0)
    places.begin(0, 1)
    lane.note_begun()
    assert lane.room("default", 0, to_run_dry=True) == 2


def test_a_more_urgent_queue_overtakes_what_waits_up_to_as_many_as_there_are_places() -> None:
    lane, places = lane_of(2)
    lane.put(jobs(2), 0)
    places.begin(0, 1)
    lane.note_begun()
    lane.put(jobs(1, "low"), 0)
    assert (room(lane, "low"), room(lane, "critical"), lane.capacity("critical", 0)) == (0, 2, 2)
    lane.put(jobs(2, "critical"), 0)
    assert [job.lease.queue for job in places.inbox] == ["critical", "critical", "low"]
    assert (room(lane, "critical"), lane.capacity("critical", 0)) == (0, 0)


def test_what_waits_is_taken_back_when_nothing_moves_and_then_one_is_tried_a_second() -> None:
    lane, places = lane_of(4, "async")
    lane.put(jobs(3), 10)
    assert lane.stalled(10.2) == []
    taken = lane.stalled(10.3)
    assert len(taken) == 3
    lane.let_go(taken)
    assert (lane.idle, room(lane, now=10.4), lane.capacity("default", 10.4)) == (0, 0, 0)
    assert 0.8 < lane.trial_in_s(10.4) < 1
    assert (room(lane, now=11.4), lane.capacity("default", 11.4)) == (1, 1)
    assert lane.trial_in_s(11.4) == float("inf"), "whoever waits for it has a token to wait for"
    lane.put(jobs(1), 11.4)
    assert room(lane, now=11.5) == 0
    places.begin(0)
    lane.note_begun()
    assert room(lane, now=11.5) == 3


def test_long_jobs_take_the_room_for_more_but_try_nothing() -> None:
    lane, places = lane_of(1)
    lane.ended([0.001], 0, 0)
    lane.put(jobs(5), 0)
    places.begin(0)
    assert len(lane.note_begun()) == 1
    taken = lane.stalled(1)
    lane.let_go(taken)
    assert (len(taken), room(lane, now=5), lane.capacity("default", 5)) == (4, 0, 0)


def test_those_that_overtook_others_have_begun_too() -> None:
    lane, places = lane_of(4, "async")
    lane.put(jobs(4), 0)
    begun = places.begin(1, 3)
    assert lane.note_begun() == begun
    assert lane.note_begun() == []
    held = lane.waiting[0]
    held.ending = Ending.HOLD
    assert lane.note_begun() == [], "it never began"
    assert len(lane.waiting) == 1
