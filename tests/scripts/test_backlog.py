"""How many tasks that have not started a queue may hold: what is beyond is refused, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.ids import given_uid, new_uid

if TYPE_CHECKING:
    from .station import Station, Worker


@pytest.fixture(autouse=True)
def limited(station: Station) -> None:
    station.limit(max_backlog=3)


def test_what_fits_goes_in_in_its_order_and_the_rest_is_refused(station: Station, worker: Worker) -> None:
    uids = [new_uid(1) for _ in range(5)]
    offered = worker.offer(*uids)
    assert offered.uids == [*uids[:3], None, None]
    assert offered.unstarted == 3
    assert station.dump().bodies == set(uids[:3])
    assert worker.stats()["total_enqueued"] == 3
    full = worker.offer(new_uid(3))
    assert (full.uids, full.unstarted) == ([None], 3)


def test_what_runs_has_failed_or_has_ended_takes_no_room(worker: Worker) -> None:
    worker.put(3)
    worker.bury(*worker.take(1))
    worker.complete(*worker.take(1))
    worker.take(1)
    assert worker.enqueue(*(new_uid(1) for _ in range(4))) == 3


def test_what_waits_for_its_time_or_for_a_handler_takes_room(worker: Worker) -> None:
    worker.put(1, when=b"+60000")
    worker.put(2)
    first, second = worker.take(2)
    worker.hold(first)
    worker.retry(second, delay_ms=60_000)
    assert worker.offer(new_uid(1)).unstarted == 3


def test_no_task_that_is_in_is_refused_its_way_back(station: Station, worker: Worker) -> None:
    worker.put(3)
    leases = worker.take(3)
    worker.put(3)
    assert worker.retry(leases[0]) == b"1"
    assert worker.release(leases[1]) == b"1"
    assert worker.bury(leases[2]) == b"1"
    assert worker.revive(leases[2].uid) == [b"1"]
    assert len(station.dump().bodies) == 6
    assert worker.offer(new_uid(1)).unstarted == 6


def test_a_repeat_of_what_went_in_is_not_refused(worker: Worker) -> None:
    uids = [new_uid(1) for _ in range(4)]
    worker.offer(*uids)
    assert worker.offer(*uids).uids == [*uids[:3], None]
    worker.take(1)
    # What went in first has started meanwhile: its repeat is known still, and makes no use of the room.
    assert worker.offer(*uids).uids == uids


def test_a_callers_own_id_that_is_known_is_not_refused(worker: Worker) -> None:
    named = given_uid("mine")
    worker.put(2)
    worker.enqueue(named)
    assert worker.offer(named).uids == [named]
    assert worker.offer(given_uid("other")).uids == [None]


def test_a_unique_key_that_is_taken_is_answered_with_its_task(worker: Worker) -> None:
    holder = worker.enqueue_with(new_uid(1), unique="k")
    worker.put(2)
    assert worker.enqueue_with(new_uid(1), unique="k") == holder


def test_what_takes_anothers_place_needs_no_room(worker: Worker) -> None:
    worker.enqueue_with(new_uid(1), unique="k")
    worker.put(2)
    newer = new_uid(1)
    assert worker.enqueue_with(newer, unique="k", mode="replace") == newer
    assert worker.offer(new_uid(1)).unstarted == 3


def test_a_refused_task_takes_no_key(station: Station, worker: Worker) -> None:
    worker.put(3)
    with pytest.raises(AssertionError, match="refused"):
        worker.enqueue_with(new_uid(1), unique="k", expires_ms=1000)
    dump = station.dump()
    assert (dump.hashes["unique"], dump.zsets["expiry"]) == ({}, {})


def test_without_a_limit_nothing_is_refused(station: Station, worker: Worker) -> None:
    station.limit(max_backlog=0)
    worker.put(500)
    assert worker.offer(new_uid(1)).unstarted == 0
