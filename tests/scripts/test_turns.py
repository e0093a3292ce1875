"""Limit keys: each key's tasks in their order, keys by turns, no more of a key than may, and counts that are right."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.codec import encode_body
from singleton_service.background.task_queue.ids import given_uid, new_uid

from .invariants import check_drained
from .station import LIMITS, uids

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.task_queue.lease import Lease

    from .station import Station, Worker


def put_many(worker: Worker, key: str, number: int) -> list[str]:
    names = [new_uid(1) for _ in range(number)]
    written = encode_body("job", b"{}", 1, None, 3, limit_key=key)
    worker.say(worker.speak.enqueue([(uid, b"0", written) for uid in names]))
    return names


def test_keys_take_turns_and_each_is_in_its_order(station: Station, worker: Worker) -> None:
    many, few = put_many(worker, "many", 1000), put_many(worker, "few", 3)
    taken: list[str] = []
    for _ in range(3):
        taken += uids(worker.take(2))
        station.check()
    assert [uid for uid in taken if uid in set(few)] == few
    assert [uid for uid in taken if uid in set(many)] == many[:3]


def test_one_fetch_takes_many_of_one_key_where_there_is_no_other(station: Station, worker: Worker) -> None:
    names = put_many(worker, "only", 300)
    leases = worker.take(50)
    assert uids(leases) == names[:50]
    assert station.check().running_per_key == {"only": 50}
    assert worker.complete(*leases) == b"1" * 50


def test_a_batch_is_fair_too(station: Station, worker: Worker) -> None:
    keys = {uid: key for key in "abc" for uid in put_many(worker, key, 50)}
    taken = [keys[uid] for uid in uids(worker.take(30))]
    assert [Counter(taken[n : n + 3]) for n in range(0, 30, 3)] == [Counter("abc")] * 10
    station.check()


def test_tasks_without_a_key_are_taken_beside_those_with_one(station: Station, worker: Worker) -> None:
    plain = worker.put(3)
    keyed = worker.put_for("k", 3)
    assert set(uids(worker.take(10))) == {*plain, *keyed}


def test_no_more_of_a_key_run_than_may_and_others_are_not_held_up(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=2)
    first = worker.put_for("a", 5)
    second = worker.put_for("b", 5)
    leases = worker.take(20)
    assert set(uids(leases)) == {*first[:2], *second[:2]}
    assert worker.take(20) == []
    station.check()
    assert worker.fetch(20).next_ms is None
    worker.complete(next(lease for lease in leases if lease.uid == first[1]))
    assert station.check().lists["wake"] == ["1"]
    assert uids(worker.take(20)) == [first[2]]


ENDS: list[Callable[[Worker, Lease], object]] = [
    lambda worker, lease: worker.complete(lease),
    lambda worker, lease: worker.bury(lease),
    lambda worker, lease: worker.retry(lease, delay_ms=5000),
    lambda worker, lease: worker.hold(lease),
    lambda worker, lease: (worker.cancel(lease.uid), worker.release(lease)),
]


@pytest.mark.parametrize("end", ENDS, ids=["complete", "bury", "retry", "hold", "told to stop"])
def test_whatever_ends_a_lease_lets_the_next_of_its_key_in(
    station: Station, worker: Worker, end: Callable[[Worker, Lease], object]
) -> None:
    worker.limit_keys(max_running=1)
    first, second, _ = worker.put_for("k", 3)
    (lease,) = worker.take(10)
    assert lease.uid == first
    end(worker, lease)
    dump = station.check()
    assert dump.lists["wake"] == ["1"]
    assert dump.running_per_key == {}
    assert uids(worker.take(10)) == [second]


BACK: list[Callable[[Worker, Lease], object]] = [
    lambda worker, lease: worker.release(lease),
    lambda worker, lease: worker.reconcile(),
    lambda worker, lease: worker.die_and_be_recovered(by=worker.station.worker("other")),
]


@pytest.mark.parametrize("way", BACK, ids=["release", "reconcile", "recover"])
def test_what_is_handed_back_is_the_next_of_its_key(
    station: Station, worker: Worker, way: Callable[[Worker, Lease], object]
) -> None:
    worker.limit_keys(max_running=1)
    names = worker.put_for("k", 3)
    (lease,) = worker.take(10)
    way(worker, lease)
    dump = station.check()
    assert dump.running_per_key == {}
    assert dump.lists["wake"] == ["1"]
    for uid in names:
        (lease,) = station.worker("new").take(10)
        assert lease.uid == uid
        station.worker("new").complete(lease)
    check_drained(station.dump())


def test_a_third_crash_lets_the_next_of_the_key_in(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    first, second = worker.put_for("k", 2)
    for name in ("a", "b", "c"):
        assert uids(station.worker(name).take(10)) == [first]
        station.worker(name).die_and_be_recovered(by=worker)
        station.check()
    assert worker.state(first) == "dead"
    assert uids(worker.take(10)) == [second]


def test_a_more_urgent_task_of_a_key_overtakes_the_others_of_it(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    slow = worker.put_for("k", 2, priority=0)
    (urgent,) = worker.put_for("k", priority=3)
    normal = worker.put_for("k", 1, priority=1)
    taken = []
    for _ in range(4):
        (lease,) = worker.take(10)
        taken.append(lease.uid)
        station.check()
        worker.complete(lease)
        station.check()
    assert taken == [urgent, *normal, *slow]


def test_what_comes_due_takes_its_old_place_in_line(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    (later,) = worker.put_for("k", when=b"+5000")
    first, second = worker.put_for("k", 2)
    (lease,) = worker.take(10)
    assert lease.uid == first
    station.advance(5000)
    assert worker.take(10) == []
    assert worker.state(later) == "waiting"
    worker.complete(lease)
    (lease,) = worker.take(10)
    assert lease.uid == later
    worker.complete(lease)
    assert uids(worker.take(10)) == [second]


@pytest.mark.parametrize("place", ["in front", "in line", "due"])
@pytest.mark.parametrize("ending", ["cancel", "expire"])
def test_one_that_ends_before_it_starts_leaves_its_turn_to_the_next(
    station: Station, worker: Worker, place: str, ending: str
) -> None:
    worker.limit_keys(max_running=1)
    when = b"+500" if place == "due" else b"0"
    before = worker.put_for("k") if place == "in line" else []
    (uid,) = worker.put_for("k", when=when, expires_ms=1000)
    after = worker.put_for("k", 2)
    if place == "in front":
        # Moved to ready by a fetch that took nothing.
        worker.fetch(0)
        assert uid in station.dump().lists["ready:1"]
    if ending == "cancel":
        worker.cancel(uid)
    else:
        station.advance(1001)
        worker.beat()
    station.check()
    taken = []
    while leases := worker.take(10):
        taken += uids(leases)
        worker.complete(*leases)
    assert taken == [*before, *after]
    check_drained(station.dump())
    assert station.dump().counters.get("tombstones", 0) == 0


def test_a_purge_takes_those_in_line_and_leaves_the_counts_right(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    worker.put_for("a", 5)
    worker.put_for("b", 5, when=b"+5000")
    (lease,) = worker.take(10)
    cancelled = 0
    for _ in range(10):
        number, more = worker.purge(4)
        cancelled += number
        station.check()
        if not more:
            break
    assert cancelled == 9
    assert station.check().running_per_key == {"a": 1}
    worker.complete(lease)
    worker.take()
    check_drained(station.dump())


def test_a_failed_task_that_is_put_back_stands_in_its_line(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    failed, running, waiting = worker.put_for('a "key"; of \\ all sorts', 3)
    worker.bury(*worker.take(1))
    (lease,) = worker.take(1)
    assert lease.uid == running
    assert worker.revive(failed) == [b"1"]
    assert worker.state(failed) == "waiting"
    station.check()
    taken = []
    while True:
        worker.complete(lease)
        if not (leases := worker.take(10)):
            break
        (lease,) = leases
        taken.append(lease.uid)
    assert taken == [waiting, failed]


def test_a_key_over_its_rate_waits_for_its_time_and_others_go_on(station: Station, worker: Worker) -> None:
    worker.limit_keys(rate=1, per_seconds=10)
    first = worker.put_for("a", 3)
    assert uids(worker.take(10)) == first[:1]
    station.advance(3000)
    second = worker.put_for("b", 2)
    fetched = worker.fetch(10)
    assert uids(fetched.leases) == second[:1]
    assert fetched.next_ms is not None
    assert 6_000 < fetched.next_ms <= 7_020
    assert station.check().lists["wake"] == []
    assert worker.state(first[1]) == "due"
    station.advance(fetched.next_ms)
    assert uids(worker.take(10)) == first[1:2]
    # A second more than lay between the two: the server's own clock goes on, too, and next_ms was less for it.
    station.advance(4000)
    assert uids(worker.take(10)) == second[1:2]


def test_paces_are_forgotten(station: Station, worker: Worker) -> None:
    worker.limit_keys(rate=1, per_seconds=10)
    for n in range(20):
        worker.put_for(f"key {n}")
    worker.take(20)
    assert len(station.dump().zsets["pace"]) == 20
    station.advance(11_000)
    for n in range(15):
        worker.put_for(f"new {n}")
    worker.take(20)
    assert len(station.dump().zsets["pace"]) == 15
    assert 0 < station.raw(b"PTTL", station.key("pace")) <= 12_000


def test_limits_of_keys_that_are_raised_or_lifted_let_all_in_at_once(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1, rate=1, per_seconds=3600)
    for n in range(150):
        worker.put_for(f"key {n}", 3)
    assert len(worker.take(1000)) == 100
    assert len(worker.take(1000)) == 50
    worker.fetch(1000)
    worker.limit_keys(max_running=2)
    dump = station.check()
    assert dump.lists["wake"] == ["1"]
    taken = 0
    for _ in range(5):
        taken += len(worker.take(1000))
        station.check()
    assert taken == 150
    worker.limit_keys()
    for _ in range(5):
        taken += len(worker.take(1000))
    assert taken == 300


def test_lowered_limits_of_keys_hold_from_then_on(station: Station, worker: Worker) -> None:
    worker.put_for("k", 6)
    leases = worker.take(3)
    # One is in front already.
    worker.limit_keys(max_running=2)
    assert worker.take(10) == []
    station.check()
    worker.complete(leases[0])
    assert worker.take(10) == []
    worker.complete(leases[1])
    assert len(worker.take(10)) == 1


def test_who_waits_for_a_unique_key_has_its_turn_when_it_has_it(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    first = worker.enqueue_with(new_uid(1), unique="u", mode="serial", limit="k")
    second = worker.enqueue_with(new_uid(1), unique="u", mode="serial", limit="k")
    (other,) = worker.put_for("k")
    taken = []
    for _ in range(3):
        (lease,) = worker.take(10)
        taken.append(lease.uid)
        station.check()
        worker.complete(lease)
        station.check()
    assert taken == [first, other, second]
    check_drained(station.dump())


def test_a_named_task_in_line_is_not_leased_for_its_tombstone(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    uid = given_uid("mine")
    worker.enqueue(uid)
    worker.cancel(uid)
    worker.delete(uid)
    station.raw(b"ZREM", station.key("seen"), uid)
    (first,) = worker.put_for("k")
    (lease,) = worker.take(1)
    assert lease.uid == first
    worker.enqueue_with(uid, limit="k")
    assert worker.take(10) == []
    worker.complete(lease)
    assert uids(worker.take(10)) == [uid]


def test_queue_and_key_limits_hold_together(station: Station, worker: Worker) -> None:
    worker.limit(max_running=3)
    worker.limit_keys(max_running=2)
    for key in "abc":
        worker.put_for(key, 3)
    leases = worker.take(10)
    assert len(leases) == 3
    assert worker.take(10) == []
    station.check()
    worker.complete(*leases)
    assert len(worker.take(10)) == 3
    station.check()


def test_who_waits_counts_as_pending_and_says_what_for(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    _, second = worker.put_for("k", 2)
    worker.take()
    assert worker.status(second)[0][:3] == [b"waiting", station.dump().blobs[second], b"lk"]
    assert worker.stats()["waiting"] == 1


def test_a_held_task_comes_back_to_its_line(station: Station, worker: Worker) -> None:
    worker.limit_keys(max_running=1)
    first, second = worker.put_for("k", 2)
    worker.hold(*worker.take(10))
    (lease,) = worker.take(10)
    assert lease.uid == second
    station.advance(LIMITS.unknown_task_ms // 10)
    assert worker.take(10) == []
    assert worker.state(first) == "waiting"
    worker.complete(lease)
    assert uids(worker.take(10)) == [first]
