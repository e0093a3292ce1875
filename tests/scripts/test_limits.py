"""limit: how many tasks of a queue run at once and start in a time, and who is woken when another one may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .station import uids

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.task_queue.lease import Lease

    from .station import Station, Worker


def test_no_more_run_than_may(station: Station, worker: Worker, other: Worker) -> None:
    names = worker.put(5)
    assert worker.limit(max_running=2) == 1
    leases = worker.take(10)
    assert uids(leases) == names[:2]
    assert other.take(10) == []
    station.check()
    worker.complete(leases[0])
    assert uids(other.take(10)) == names[2:3]


def test_what_waits_for_room_wakes_nobody_until_there_is_room(station: Station, worker: Worker) -> None:
    worker.put(5)
    worker.limit(max_running=2)
    worker.take(10)
    assert station.check().lists["wake"] == []
    assert worker.fetch(10).next_ms is None
    assert worker.beat().next_ms is None
    assert station.check().lists["wake"] == []


ENDS: list[Callable[[Worker, Lease], object]] = [
    lambda worker, lease: worker.complete(lease),
    lambda worker, lease: worker.bury(lease),
    lambda worker, lease: worker.retry(lease, delay_ms=5000),
    lambda worker, lease: worker.release(lease),
    lambda worker, lease: worker.hold(lease),
    lambda worker, lease: worker.reconcile(),
    lambda worker, lease: worker.die_and_be_recovered(by=worker.station.worker("other")),
]
WAYS = ["complete", "bury", "retry", "release", "hold", "reconcile", "recover"]


@pytest.mark.parametrize("end", ENDS, ids=WAYS)
def test_whatever_ends_a_lease_wakes_somebody_for_the_room(
    station: Station, worker: Worker, end: Callable[[Worker, Lease], object]
) -> None:
    worker.put(3)
    worker.limit(max_running=1)
    (lease,) = worker.take()
    end(worker, lease)
    assert station.check().lists["wake"] == ["1"]
    assert len(worker.take(10)) == 1


def test_a_third_crash_makes_room(station: Station, worker: Worker) -> None:
    for name in ("a", "b"):
        if name == "a":
            worker.put()
        station.worker(name).take()
        station.worker(name).die_and_be_recovered(by=worker)
    worker.limit(max_running=1)
    station.worker("c").take()
    (waiting,) = worker.put()
    assert worker.take() == []
    assert station.worker("c").die_and_be_recovered(by=worker)[:2] == (0, 1)
    assert station.check().lists["wake"] == ["1"]
    assert uids(worker.take()) == [waiting]


def test_a_heartbeat_takes_note_that_room_is_waited_for(station: Station, worker: Worker, other: Worker) -> None:
    worker.limit(max_running=1)
    worker.put()
    (lease,) = worker.take()
    # Whoever was woken for this one died before fetching.
    worker.put()
    station.raw(b"DEL", station.key("wake"))
    assert other.beat().next_ms is None
    worker.complete(lease)
    assert station.check().lists["wake"] == ["1"]


def test_a_limit_that_is_raised_or_lifted_wakes_somebody(station: Station, worker: Worker) -> None:
    worker.put(5)
    worker.limit(max_running=1)
    worker.take(10)
    for limit, more in ((2, 1), (None, 3)):
        assert worker.limit(max_running=limit) == 1
        assert station.check().lists["wake"] == ["1"]
        assert len(worker.take(10)) == more
    assert station.dump().limits == (0, 0)


def test_a_limit_below_what_runs_lets_nothing_start_until_enough_have_ended(station: Station, worker: Worker) -> None:
    worker.put(5)
    leases = worker.take(3)
    worker.limit(max_running=2)
    assert worker.take(10) == []
    worker.complete(leases[0])
    assert worker.take(10) == []
    worker.complete(leases[1])
    assert len(worker.take(10)) == 1


def test_starts_are_spread_evenly_over_the_time(station: Station, worker: Worker) -> None:
    worker.put(5)
    worker.limit(rate=6, per_seconds=60)
    fetched = worker.fetch(10)
    assert len(fetched.leases) == 1
    assert fetched.next_ms is not None
    assert 9_900 < fetched.next_ms <= 10_004
    assert station.check().lists["wake"] == []
    beat = worker.beat().next_ms
    assert beat is not None
    assert 0 < beat <= fetched.next_ms
    assert worker.take(10) == []
    station.advance(fetched.next_ms)
    assert len(worker.take(10)) == 1


def test_what_waits_for_its_time_wakes_nobody(station: Station, worker: Worker) -> None:
    worker.put(2)
    worker.limit(rate=1, per_seconds=60)
    worker.take()
    worker.beat()
    worker.fetch(10)
    assert station.check().lists["wake"] == []


def test_a_second_of_starts_is_never_more_than_the_rate(station: Station, worker: Worker) -> None:
    worker.put(1500)
    worker.limit(rate=500, per_seconds=1)
    starts: list[tuple[int, int]] = []
    for late_ms in (0, 1, 30, 7, 500, 3, 11) * 6:
        station.advance(late_ms)
        fetched = worker.fetch(100)
        starts += [(lease.fence // 1000, 1) for lease in fetched.leases]
        station.advance(fetched.next_ms or 0)
    for at_ms, _ in starts:
        assert sum(at_ms <= other_ms < at_ms + 1000 for other_ms, _ in starts) <= 500
    assert len(starts) > 50


def test_a_pace_set_again_leaves_no_room_for_more_and_another_one_begins_anew(station: Station, worker: Worker) -> None:
    worker.put(3)
    worker.limit(rate=1, per_seconds=3600)
    assert len(worker.take(10)) == 1
    assert worker.limit(rate=1, per_seconds=3600) == 0
    assert worker.take(10) == []
    worker.limit(rate=1, per_seconds=10)
    fetched = worker.fetch(10)
    assert len(fetched.leases) == 1
    assert fetched.next_ms is not None
    assert fetched.next_ms <= 10_020


def test_both_limits_hold_together_and_with_what_is_due(station: Station, worker: Worker) -> None:
    worker.put(3)
    worker.put(when=b"+5000")
    worker.limit(max_running=1, rate=1, per_seconds=2)
    fetched = worker.fetch(10)
    # Another start is held up by the one that runs, so nobody looks again before something is due.
    assert fetched.next_ms is not None
    assert fetched.next_ms > 4_000
    worker.complete(*fetched.leases)
    assert station.check().lists["wake"] == ["1"]
    again = worker.fetch(10)
    assert again.leases == []
    assert again.next_ms is not None
    assert again.next_ms <= 2_020


def test_a_paused_queue_with_limits_is_paused(station: Station, worker: Worker) -> None:
    worker.put(2)
    worker.limit(max_running=1)
    worker.pause()
    assert worker.fetch(10).next_ms is None
    worker.pause(paused=False)
    assert len(worker.take(10)) == 1
