"""Bodies lie on shelves by the time they were made, and nothing else of a task depends on which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.ids import given_uid, new_uid

from .invariants import check_drained
from .station import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from .station import Station, Worker

OLD, FINE, COARSE = 0, 4, 8


@pytest.fixture
def mixed(worker: Worker) -> Callable[[int], list[str]]:
    """Enqueue so many tasks of each kind in one batch, and return them in their order."""

    def put(number: int) -> list[str]:
        uids = []
        for n in range(number):
            uids += [f"{1 + measure:x}{new_uid(1)[1:]}" for measure in (OLD, FINE, COARSE)]
            # A minute later by its maker's clock: on a shelf of its own.
            uids += [f"9{n:06d}000{new_uid(1)[10:]}", given_uid(f"mine-{n}")]
        assert worker.enqueue(*uids) == len(uids)
        return uids

    return put


@pytest.mark.parametrize("priority", range(4))
@pytest.mark.parametrize("measure", [OLD, FINE, COARSE])
def test_the_first_digit_says_priority_and_shelf(station: Station, worker: Worker, priority: int, measure: int) -> None:
    (uid,) = worker.put(priority=priority, measure=measure)
    dump = station.check()
    assert dump.lists[f"ready:{priority}"] == [uid]
    shelf = {OLD: None, FINE: uid[1:9], COARSE: uid[1:7]}[measure]
    assert dump.shelves == ({} if shelf is None else {shelf: dump.blobs})
    assert (uid in dump.hashes["body"]) == (shelf is None)


def test_one_batch_may_lie_on_many_shelves(station: Station, worker: Worker, mixed: Callable[[int], list[str]]) -> None:
    uids = mixed(40)
    assert len(station.check().shelves) > 40
    leases = worker.take(1000)
    assert [lease.uid for lease in leases] == uids, "in their order, each with its body"
    worker.retry(*leases[:20], error=failure("once"), delay_ms=0)
    worker.bury(*leases[20:40])
    worker.release(*leases[40:60])
    worker.hold(*leases[60:80])
    assert worker.complete(*leases[80:]) == b"1" * 120
    dump = station.check()
    assert dump.bodies == set(uids[:80])
    assert set(worker.revive(*uids[20:30])) == {b"1"}
    assert worker.cancel(*uids[:5]) == b"1" * 5
    assert worker.delete(*uids[30:40]) == b"1" * 10
    station.advance(2_000)
    while leases := worker.take(1000):
        worker.complete(*leases)
        station.check()
    check_drained(station.check())
    assert station.dump().shelves == {}, "an empty shelf is not there"


def test_a_listing_walks_all_shelves(worker: Worker, mixed: Callable[[int], list[str]]) -> None:
    uids = mixed(30)
    for size in (1, 7, 64, 1000):
        told, cursor = worker.page(size, None)
        while cursor is not None:
            page, cursor = worker.page(size, cursor)
            told += page
        assert sorted(told) == sorted(uids), f"by pages of {size}"


def test_tasks_that_come_and_go_hide_none_that_stays(worker: Worker, mixed: Callable[[int], list[str]]) -> None:
    stay = mixed(25)
    told, cursor = worker.page(3, None)
    for n in range(1000):
        # On shelves that are there, and on some that come and go, before and behind what has been read.
        going = [f"9{second:06d}000{new_uid(1)[10:]}" for second in (n % 25, n, 999_999 - n)] if n < 40 else []
        worker.enqueue(*going)
        page, cursor = worker.page(3, cursor)
        told += page
        worker.cancel(*going)
        if cursor is None:
            break
    assert cursor is None
    assert set(stay) <= set(told)


def test_a_purge_empties_the_shelves(station: Station, worker: Worker, mixed: Callable[[int], list[str]]) -> None:
    uids = mixed(10)
    assert worker.purge() == (len(uids), 0)
    check_drained(station.check())
    assert station.dump().shelves == {}


def test_tasks_of_protocol_1_are_done_where_they_lie(station: Station, worker: Worker) -> None:
    uids = worker.put(3, measure=OLD)
    assert set(station.dump().hashes["body"]) == set(uids)
    leases = worker.take()
    assert [lease.uid for lease in leases] == uids
    worker.complete(*leases)
    check_drained(station.check())
