"""heartbeat.lua, recover.lua, reconcile.lua, leave.lua: no task stays with one who is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .invariants import check_drained
from .station import LEASE_OVER_MS, LIMITS, failure, uids

if TYPE_CHECKING:
    from .station import Station, Worker


def test_one_heartbeat_renews_all_leases(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(5)
    worker.take(5)
    for _ in range(3):
        station.advance(LIMITS.lease_ms - 10_000)
        assert worker.beat().owned == 5
        assert other.beat().lost_workers == []


def test_a_worker_that_is_silent_for_a_lease_is_lost(station: Station, worker: Worker, other: Worker) -> None:
    worker.put()
    worker.take()
    station.advance(LIMITS.lease_ms - 10_000)
    assert other.beat().lost_workers == []
    station.advance(11_000)
    assert other.beat().lost_workers == ["w"]


def test_ten_lost_workers_are_told_of_at_once(station: Station, other: Worker) -> None:
    for n in range(15):
        station.worker(f"lost{n}").beat()
    station.advance(LEASE_OVER_MS)
    lost = other.beat().lost_workers
    assert len(lost) == 10
    for name in lost:
        assert other.recover(name) == (0, 0, 0)
    assert len(other.beat().lost_workers) == 5


@pytest.mark.parametrize(("when", "least", "most"), [(b"0", 0, 0), (b"+5000", 1, 5000)])
def test_a_heartbeat_tells_when_there_is_work(worker: Worker, when: bytes, least: int, most: int) -> None:
    assert worker.beat().next_ms is None
    worker.put(when=when)
    next_ms = worker.beat().next_ms
    assert next_ms is not None
    assert least <= next_ms <= most


def test_a_heartbeat_tells_how_many_workers_there_are(worker: Worker, other: Worker) -> None:
    assert (worker.beat().workers, other.beat().workers, worker.beat().workers) == (1, 2, 2)


def test_a_heartbeat_puts_back_a_lost_token(station: Station, worker: Worker, other: Worker) -> None:
    worker.put()
    station.raw(b"LPOP", station.key("wake"))
    other.beat()
    assert station.check().lists["wake"] == ["1"]
    other.beat()
    assert station.check().lists["wake"] == ["1"], "never two"


def test_a_heartbeat_wakes_nobody_for_nothing(station: Station, worker: Worker) -> None:
    worker.put(when=b"+5000")
    worker.take()
    worker.beat()
    assert station.check().lists["wake"] == []


def test_a_lost_workers_tasks_are_next_in_their_old_order(station: Station, worker: Worker, other: Worker) -> None:
    names = worker.put(6)
    worker.take(4, 0)
    assert worker.die_and_be_recovered(other) == (4, 0, 0)
    dump = station.check()
    assert dump.lists["ready:1"] == names
    assert dump.lists["wake"] == ["1"]
    assert list(dump.zsets["workers"]) == ["v"]
    assert dump.counters["recovered"] == 4


def test_whoever_recovers_tasks_wakes_somebody_for_them(station: Station, worker: Worker, other: Worker) -> None:
    worker.put()
    worker.take()
    station.advance(LEASE_OVER_MS)
    assert station.check().lists["wake"] == []
    assert other.recover("w") == (1, 0, 0)
    assert station.check().lists["wake"] == ["1"], "not only at the next heartbeat"


def test_recovering_a_second_time_finds_nothing(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(2)
    worker.take()
    worker.die_and_be_recovered(other)
    before = station.check()
    assert other.recover("w") == (0, 0, 0)
    assert station.check() == before


def test_the_index_of_a_lost_worker_is_not_believed(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(1)
    (lease,) = other.take()
    worker.beat()
    station.raw(b"HSET", station.key("owned", "w"), lease.uid, b"1", "gone", b"1")
    station.advance(LEASE_OVER_MS)
    other.beat()
    assert other.recover("w") == (0, 0, 0), "running says whose it is"
    assert station.check().hashes["running"] == {lease.uid: lease.token}


def test_a_living_worker_is_left_alone(station: Station, worker: Worker, other: Worker) -> None:
    worker.put()
    worker.take()
    before = station.check()
    assert other.recover("w") == (0, 0, -1)
    assert station.check() == before
    station.advance(LEASE_OVER_MS)
    assert other.beat().lost_workers == ["w"]
    worker.beat()
    assert other.recover("w") == (0, 0, -1), "it came back just in time"


def test_one_seen_dead_is_given_no_rest_of_its_lease(station: Station, worker: Worker, other: Worker) -> None:
    names = worker.put(3)
    worker.take(3, 0)
    assert other.recover("w", is_dead=True) == (3, 0, 0)
    worker.beat()  # sent before it died, and come only now
    (late,) = worker.take(1, 0)
    assert other.recover("w", is_dead=True) == (1, 0, 0)
    assert worker.complete(late) == b"0"
    dump = station.check()
    assert (dump.lists["ready:1"], list(dump.zsets["workers"])) == (names, [])


def test_a_worker_taken_for_dead_goes_on_with_new_tasks_only(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(2)
    (old,) = worker.take(1)
    worker.die_and_be_recovered(other)
    assert worker.beat().owned == 0
    (new,) = worker.take(1)
    assert worker.complete(old, new) == b"01"


@pytest.mark.parametrize("number", [1_000, 12_000])
def test_however_many_tasks_a_lost_worker_held_all_go_on(
    station: Station, worker: Worker, other: Worker, number: int
) -> None:
    for _ in range(number // 1000):
        worker.put(1000)
        assert len(worker.take(1000, 500)) == 1000
    station.advance(LEASE_OVER_MS)
    handed_on, left, calls = 0, 1, 0
    while left:
        more, buried, left = other.recover("w")
        handed_on += more
        calls += 1
        assert (more > 0, buried) == (True, 0), f"call {calls} made no progress with {left} left"
    assert handed_on == number
    assert len(station.check().lists["ready:1"]) == number


def test_a_crash_counts_only_against_what_had_started(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(3)
    started, noted, waiting = worker.take(3, 1)
    worker.start(noted)
    worker.die_and_be_recovered(other)
    dump = station.check()
    assert dump.hashes["attempts"] == {
        started.uid: b"0|1|%d" % started.fence,
        noted.uid: b"0|1|%d" % noted.fence,
    }
    assert waiting.uid in dump.lists["ready:1"]


def crash(station: Station, uid: str) -> tuple[int, int, int]:
    """Have a fresh worker die at the task."""
    victim = station.worker(f"victim{station.offset_ms}")
    assert uid in uids(victim.take(10))
    return victim.die_and_be_recovered(station.worker("v"))


def test_a_poisonous_task_is_run_alone_and_then_buried(station: Station, worker: Worker) -> None:
    (poison,) = worker.put()
    assert crash(station, poison) == (1, 0, 0)
    assert station.check().lists["ready:1"] == [poison], "once is an accident"
    assert crash(station, poison) == (1, 0, 0)
    assert station.check().lists["suspects"] == [poison]

    innocent = worker.put(3)
    assert uids(station.worker("busy").take(10, suspect=False)) == innocent, "not beside others"
    worker.put(3)
    victim = station.worker("last")
    assert uids(victim.take(10)) == [poison], "alone"
    assert victim.die_and_be_recovered(worker) == (0, 1, 0)

    dump = station.check()
    assert list(dump.zsets["dead"]) == [poison]
    assert dump.hashes["errors"][poison] == failure("worker lost 3 times")
    assert dump.hashes["attempts"][poison].startswith(b"0|3|"), "no retry was used up"
    assert dump.counters["failed"] == 1
    assert len(worker.take(10)) == 3


def test_a_second_suspect_waits_for_another_worker(station: Station, worker: Worker) -> None:
    names = worker.put(2)
    for _ in range(2):
        victim = station.worker(f"victim{station.offset_ms}")
        victim.take(1)
        victim.take(1)
        if victim.die_and_be_recovered(worker) != (2, 0, 0):
            pytest.fail("both go on")
        # The second time both are there at once.
    assert sorted(station.check().lists["suspects"]) == sorted(names)
    first, second = worker.take(10), station.worker("v").take(10)
    assert (len(first), len(second)) == (1, 1)
    assert worker.complete(*first) == b"1"


def test_a_suspect_stays_one_through_release_retry_and_reconcile(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    crash(station, uid)
    crash(station, uid)
    worker.release(*worker.take())
    assert station.check().lists["suspects"] == [uid]
    worker.take()
    assert worker.reconcile() == 1
    assert station.check().lists["suspects"] == [uid]
    worker.retry(*worker.take())
    worker.fetch(0)
    assert station.check().lists["suspects"] == [uid]
    (lease,) = worker.take()
    assert (lease.retry_count, lease.crashes) == (1, 2)
    assert worker.complete(lease) == b"1"
    check_drained(station.check())


def test_leases_nobody_knows_of_are_handed_back(station: Station, worker: Worker) -> None:
    known, *lost = worker.put(4)
    (lease,) = worker.take(1)
    worker.take(3)  # and the answer got lost
    assert worker.beat().owned == 4
    assert worker.reconcile(lease) == 3
    dump = station.check()
    assert set(dump.lists["ready:1"]) == set(lost)
    assert list(dump.hashes["running"]) == [known]
    assert dump.hashes["attempts"] == {}, "no crash, no retry"
    assert worker.reconcile(lease) == 0, "a second time"
    assert worker.complete(lease) == b"1"


def test_reconciling_leaves_others_alone(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(4)
    worker.take(2)
    theirs = other.take(2)
    assert worker.reconcile() == 2
    assert set(station.check().hashes["running"]) == {lease.uid for lease in theirs}


def test_a_thousand_unknown_leases_are_handed_back_at_once(station: Station, worker: Worker) -> None:
    worker.put(1000)
    leases = worker.take(1000)
    assert worker.reconcile(*leases) == 0
    assert worker.reconcile() == 1000
    station.check()


def test_who_leaves_with_empty_hands_is_gone(station: Station, worker: Worker) -> None:
    worker.beat()
    assert worker.leave() == 0
    assert station.check().zsets["workers"] == {}
    assert worker.leave() == 0


def test_what_one_leaves_behind_goes_on_at_once(station: Station, worker: Worker, other: Worker) -> None:
    worker.put()
    worker.take(1, 0)
    assert worker.leave() == 1
    assert other.beat().lost_workers == ["w"], "no waiting for the end of the lease"
    assert other.recover("w") == (1, 0, 0)
    assert len(other.take()) == 1
