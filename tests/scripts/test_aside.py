"""What a fetch passes over, for want of a place: it hides nothing, keeps its order, and is found by whoever has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.codec import encode_body
from singleton_service.background.task_queue.ids import new_uid

from .station import LEASE_OVER_MS, uids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .station import Station, Worker


@pytest.fixture(autouse=True)
def _everything_holds(station: Station) -> Iterator[None]:
    yield
    station.check()


def put(worker: Worker, name: str, number: int = 1, *, priority: int = 1, size: int = 0) -> list[str]:
    made = [new_uid(priority) for _ in range(number)]
    blob = encode_body(name, b'"%b"' % (b"x" * size), priority, None, 3)
    assert worker.say(worker.speak.enqueue([(uid, b"0", blob) for uid in made]))[0] == number
    return made


def test_what_there_is_no_room_for_hides_nothing(station: Station, worker: Worker) -> None:
    busy, other = put(worker, "busy", 150), put(worker, "other", 3)
    fetched = worker.fetch(lanes=[(0, ["busy"])])
    assert uids(fetched.leases) == other
    assert fetched.left_aside == (True,)
    assert not fetched.is_cut_short
    assert station.check().aside == {"1busy": busy}
    assert worker.stats()["ready"] == 150


def test_no_more_of_a_lane_come_than_it_has_room_for(station: Station, worker: Worker) -> None:
    first, second, other = put(worker, "a", 5), put(worker, "b", 5), put(worker, "other", 5)
    fetched = worker.fetch(100, lanes=[(3, ["a", "b"]), (0, ["nobody"])])
    assert uids(fetched.leases) == first[:3] + other
    assert fetched.left_aside == (True, False)
    assert station.check().aside == {"1a": first[3:], "1b": second}


def test_those_aside_go_first_and_in_their_order(station: Station, worker: Worker, other: Worker) -> None:
    old = put(worker, "busy", 4)
    assert worker.take(lanes=[(0, ["busy"])]) == []
    new = put(worker, "busy", 2)
    assert uids(other.take(3)) == old[:3]
    assert uids(other.take()) == old[3:] + new
    assert station.check().aside == {}


def test_a_higher_priority_goes_before_what_is_aside(worker: Worker) -> None:
    low, high = put(worker, "busy", 2, priority=0), put(worker, "busy", 1, priority=3)
    assert worker.take(lanes=[(0, ["busy"])]) == []
    higher = put(worker, "busy", 1, priority=3)
    assert uids(worker.take()) == high + higher + low


def test_tasks_of_all_names_aside_have_one_order(station: Station, worker: Worker) -> None:
    came = [put(worker, name)[0] for name in "abcabbbbca" * 20]
    assert worker.take(lanes=[(0, "abc")]) == []
    assert len(station.check().aside) == 3
    came += [put(worker, name)[0] for name in "cab"]
    assert worker.take(lanes=[(0, "c"), (0, "ab")]) == []
    some = uids(worker.take(7)) + uids(worker.take(1)) + uids(worker.take(100))
    assert some == came[:108]
    assert uids(worker.take(1000)) == came[108:]
    assert station.check().aside == {}


def test_what_has_no_room_holds_up_nothing_aside(worker: Worker) -> None:
    first, second = put(worker, "a", 300), put(worker, "b", 300)
    assert worker.take(lanes=[(0, "ab")]) == []
    assert uids(worker.take(1000, lanes=[(2, "a")])) == first[:2] + second
    assert uids(worker.take(1000)) == first[2:]


@pytest.mark.parametrize("how", ["handed back", "its worker was lost", "its fetch was lost"])
def test_what_comes_back_is_in_front_of_what_is_aside(
    station: Station, worker: Worker, other: Worker, how: str
) -> None:
    first, second = put(worker, "a", 2), put(worker, "b", 2)
    leases = other.take()
    put(worker, "unused")
    later = put(worker, "a", 2)
    assert len(worker.take(lanes=[(0, "a")])) == 1
    if how == "handed back":
        other.release(*leases)
    elif how == "its fetch was lost":
        other.reconcile()
    else:
        station.advance(LEASE_OVER_MS)
        worker.beat()
        other_name = other.name
        worker.recover(other_name)
    found = uids(worker.take())
    assert set(found[:4]) == {*first, *second}
    assert found[4:] == later
    if how == "handed back":
        assert found == first + second + later


def test_a_fetch_passes_over_so_many_and_says_that_there_is_more(station: Station, worker: Worker) -> None:
    put(worker, "busy", 1000)
    put(worker, "busy", 900)
    other = put(worker, "other")
    fetched = worker.fetch(lanes=[(0, ["busy"])])
    assert (fetched.leases, fetched.is_cut_short) == ([], True)
    dump = station.check()
    assert len(dump.ready) > 800, "a fetch is bounded"
    assert dump.lists["wake"], "there is more to look at"
    assert uids(worker.take(lanes=[(0, ["busy"])])) == other


def test_large_ones_are_passed_over_a_few_at_a_time(station: Station, worker: Worker) -> None:
    put(worker, "busy", 20, size=1_000_000)
    assert worker.fetch(lanes=[(0, ["busy"])]).is_cut_short
    assert len(station.check().ready) == 8
    while worker.fetch(lanes=[(0, ["busy"])]).is_cut_short:
        pass
    assert station.check().ready == []


def test_somebody_else_is_woken_for_what_goes_aside_and_once(station: Station, worker: Worker, other: Worker) -> None:
    put(worker, "busy", 2)
    assert worker.take(lanes=[(0, ["busy"])]) == []
    assert station.check().lists["wake"] == ["1"]
    assert other.take(lanes=[(0, ["busy"])]) == []
    assert station.check().lists["wake"] == [], "those who have no room would wake each other for ever"
    assert worker.beat().next_ms == 0
    assert station.check().lists["wake"] == ["1"], "a heartbeat does it, now and then"
    assert len(other.take(1)) == 1
    assert station.check().lists["wake"] == ["1"], "there is one left, and no reason not to take it"


def test_what_is_aside_can_be_cancelled_and_purged(station: Station, worker: Worker) -> None:
    first, *rest = put(worker, "busy", 3)
    put(worker, "late", 2)
    worker.take(lanes=[(0, ["busy", "late"])])
    assert worker.cancel(first) == b"1"
    assert worker.stats()["ready"] == 4
    assert uids(worker.take(1)) == rest[:1], "its place is passed over"
    assert worker.purge(1) == (1, 1)
    station.check()
    assert worker.purge(1000) == (2, 0)
    assert station.check().aside == {}


def test_a_queue_that_is_paused_or_has_reached_its_limit_puts_nothing_aside(station: Station, worker: Worker) -> None:
    waiting = put(worker, "busy", 2)
    worker.pause()
    worker.take(lanes=[(0, ["busy"])])
    assert station.check().lists["ready:1"] == waiting
    worker.pause(paused=False)
    worker.limit(1, None)
    put(worker, "other")
    assert len(worker.take(lanes=[(0, ["busy"])])) == 1
    put(worker, "busy")
    worker.take(lanes=[(0, ["busy"])])
    dump = station.check()
    assert (len(dump.aside["1busy"]), len(dump.lists["ready:1"])) == (2, 1)


def test_who_is_in_front_of_its_key_may_be_aside(station: Station, worker: Worker) -> None:
    worker.limit_keys(1)
    first = worker.enqueue_with(new_uid(1), limit="k")
    second = worker.enqueue_with(new_uid(1), limit="k")
    assert worker.take(lanes=[(0, [first, second])]) == []
    assert station.check().aside == {f"1{first}": [first]}
    assert uids(worker.take()) == [first]
    assert station.check().in_line[0][2] == second
