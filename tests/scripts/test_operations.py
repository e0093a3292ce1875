"""cancel, revive, delete, purge, pause; unique keys and expiry, wherever a task ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.ids import given_uid, new_uid

from .station import LIMITS, uids

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.task_queue.lease import Lease

    from .station import Station, Worker


def ending_of(station: Station, uid: str) -> str:
    return station.dump().hashes["results"][uid][:1].decode()


@pytest.mark.parametrize("place", ["ready", "due", "held", "retrying", "suspect"])
def test_a_task_is_cancelled_wherever_it_waits(station: Station, worker: Worker, place: str) -> None:
    (uid,) = worker.put(when=b"+5000" if place == "due" else b"0")
    if place == "held":
        worker.hold(*worker.take())
    elif place == "retrying":
        worker.retry(*worker.take(), delay_ms=5000)
    elif place == "suspect":
        for name in ("first", "second"):
            station.worker(name).take()
            station.worker(name).die_and_be_recovered(by=worker)
        assert station.dump().lists["suspects"] == [uid]
    assert worker.cancel(uid) == b"1"
    assert ending_of(station, uid) == "x"
    assert worker.cancel(uid) == b"0"
    station.advance(60_000)
    assert worker.take() == []
    assert station.check().counters["cancelled"] == 1


def test_cancelling_what_has_ended_or_never_was_changes_nothing(station: Station, worker: Worker) -> None:
    done, failed = worker.put(2)
    first, second = worker.take()
    worker.complete(first)
    worker.bury(second)
    before = station.dump()
    assert worker.cancel(done, failed, "never") == b"000"
    assert worker.cancel() == b""
    assert station.dump() == before


def test_a_worker_hears_with_every_beat_which_of_its_tasks_are_to_be_cancelled(
    station: Station, worker: Worker
) -> None:
    other = station.worker("other")
    worker.put(2)
    (mine,), (foreign,) = worker.take(1), other.take(1)
    assert (worker.beat().cancelled, other.beat().cancelled) == ([], [])
    assert worker.cancel(mine.uid, foreign.uid) == b"22"
    for _ in range(2):
        assert (worker.beat().cancelled, other.beat().cancelled) == ([mine.uid], [foreign.uid])
    worker.release(mine)
    assert (worker.beat().cancelled, other.beat().cancelled) == ([], [foreign.uid])


HANDED_BACK: list[Callable[[Worker, Lease], object]] = [
    lambda worker, lease: worker.retry(lease, delay_ms=0),
    lambda worker, lease: worker.release(lease),
    lambda worker, lease: worker.hold(lease),
    lambda worker, lease: worker.reconcile(),
    lambda worker, lease: worker.die_and_be_recovered(by=worker.station.worker("other")),
]


@pytest.mark.parametrize("way", HANDED_BACK, ids=["retry", "release", "hold", "reconcile", "recover"])
def test_a_running_task_told_to_stop_ends_where_its_lease_does(
    station: Station, worker: Worker, way: Callable[[Worker, Lease], object]
) -> None:
    (uid,) = worker.put()
    (lease,) = worker.take()
    assert worker.cancel(uid) == b"2"
    assert worker.state(uid) == "running"
    way(worker, lease)
    assert ending_of(station, uid) == "x"
    station.advance(60_000)
    assert worker.take() == []
    dump = station.check()
    assert (dump.counters["cancelled"], dump.hashes["cancels"]) == (1, {})


@pytest.mark.parametrize("verb", ["complete", "bury"])
def test_a_running_task_that_ends_by_itself_ends_as_it_does(station: Station, worker: Worker, verb: str) -> None:
    (uid,) = worker.put()
    (lease,) = worker.take()
    worker.cancel(uid)
    assert getattr(worker, verb)(lease) == b"1"
    dump = station.check()
    assert dump.counters.get("cancelled", 0) == 0
    assert dump.hashes["cancels"] == {}


def test_a_failed_task_goes_back_with_all_its_retries_and_its_errors(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    worker.retry(*worker.take())
    worker.bury(*worker.take())
    assert worker.revive(uid, "never") == [b"1", b"0"]
    assert worker.revive(uid) == [b"0"]
    dump = station.check()
    assert dump.hashes["attempts"] == {}
    assert dump.hashes["errors"][uid].count(b"\n") == 1
    assert uids(worker.take()) == [uid]


def test_only_what_has_ended_is_deleted(station: Station, worker: Worker) -> None:
    done, failed, running, ready = worker.put(4)
    leases = worker.take(3)
    worker.complete(leases[0])
    worker.bury(leases[1])
    assert worker.delete(done, failed, running, ready, "never") == b"11000"
    assert worker.delete(done, failed) == b"00"
    dump = station.dump()
    assert set(dump.blobs) == {running, ready}
    # A failed task that is forgotten has still failed.
    assert station.check().counters["failed"] == 1


def test_a_purge_is_bounded_and_cancels_all_that_has_not_started(station: Station, worker: Worker) -> None:
    (running,) = worker.put()
    worker.take(1)
    names = worker.put(5) + worker.put(2, priority=3) + worker.put(2, when=b"+5000")
    worker.cancel(names[2])
    held = worker.put()
    worker.hold(*worker.take(1))
    assert len(held) == 1
    cancelled = 0
    for _ in range(20):
        number, more = worker.purge(3)
        assert number <= 3
        cancelled += number
        station.check()
        if not more:
            break
    assert cancelled == 9
    dump = station.check()
    assert set(dump.bodies) == {running}
    assert dump.ready == []


def test_a_paused_queue_leases_nothing_and_wakes_nobody(station: Station, worker: Worker) -> None:
    worker.put(2)
    assert worker.pause() == 1
    assert worker.pause() == 0
    assert worker.take() == []
    assert station.dump().lists["wake"] == []
    assert worker.beat().next_ms is None
    assert worker.stats()["paused"] == 1
    assert worker.pause(paused=False) == 1
    assert worker.pause(paused=False) == 0
    assert len(worker.take()) == 2


def test_a_unique_key_is_one_unfinished_tasks(station: Station, worker: Worker) -> None:
    first, second = new_uid(1), new_uid(1)
    assert worker.enqueue_with(first, unique="k") == first
    assert worker.enqueue_with(second, unique="k") == first
    assert worker.enqueue_with(first, unique="k") == first
    assert worker.enqueue_with(second, unique="other") == second
    assert station.check().counters["enqueued"] == 2


@pytest.mark.parametrize("ending", ["complete", "bury", "cancel", "expire", "purge", "third crash", "held too long"])
def test_every_ending_frees_the_key(station: Station, worker: Worker, ending: str) -> None:
    uid = worker.enqueue_with(new_uid(1), unique="k", expires_ms=1000 if ending == "expire" else None)
    if ending in {"complete", "bury"}:
        getattr(worker, ending)(*worker.take())
    elif ending == "cancel":
        worker.cancel(uid)
    elif ending == "purge":
        worker.purge()
    elif ending == "expire":
        station.advance(1001)
        worker.beat()
    elif ending == "third crash":
        for name in ("a", "b", "c"):
            station.worker(name).take()
            station.worker(name).die_and_be_recovered(by=worker)
    else:
        worker.hold(*worker.take())
        station.advance(LIMITS.unknown_task_ms + 60_000)
        worker.hold(*worker.take())
    dump = station.check()
    assert (dump.hashes["unique"], dump.hashes["unique_of"]) == ({}, {})
    again = new_uid(1)
    assert worker.enqueue_with(again, unique="k") == again


def test_an_ending_frees_only_its_own_key(station: Station, worker: Worker) -> None:
    first = worker.enqueue_with(new_uid(1), unique="k")
    (lease,) = worker.take()
    worker.bury(lease)
    second = worker.enqueue_with(new_uid(1), unique="k")
    # A late ending of the first, and its deletion, must leave the key with the second.
    worker.complete(lease)
    worker.delete(first)
    assert station.check().hashes["unique"] == {"k": second.encode()}


def test_replace_takes_the_place_of_what_waits_and_of_nothing_else(station: Station, worker: Worker) -> None:
    ready = worker.enqueue_with(new_uid(1), unique="k")
    due = worker.enqueue_with(new_uid(1), unique="k", mode="replace", when=b"+5000")
    third = worker.enqueue_with(new_uid(1), unique="k", mode="replace")
    assert len({ready, due, third}) == 3
    (lease,) = worker.take()
    assert lease.uid == third
    assert worker.enqueue_with(new_uid(1), unique="k", mode="replace") == third
    worker.hold(lease)
    assert worker.enqueue_with(new_uid(1), unique="k", mode="replace") == third
    assert station.check().counters["cancelled"] == 2


def test_a_failed_task_whose_key_is_taken_is_not_put_back(station: Station, worker: Worker) -> None:
    first = worker.enqueue_with(new_uid(1), unique="k")
    worker.bury(*worker.take())
    second = worker.enqueue_with(new_uid(1), unique="k")
    assert worker.revive(first) == [second.encode()]
    worker.complete(*worker.take())
    assert worker.revive(first) == [b"1"]
    assert station.check().hashes["unique"] == {"k": first.encode()}


def test_an_expired_task_is_expired_for_every_reader_before_anybody_has_swept(station: Station, worker: Worker) -> None:
    uid = worker.enqueue_with(new_uid(1), expires_ms=1000)
    assert worker.state(uid) == "ready"
    station.advance(1001)
    assert worker.state(uid) == "expired"
    assert worker.cancel(uid) == b"0"
    assert station.check().counters.get("expired", 0) == 0
    assert worker.take() == []
    assert ending_of(station, uid) == "e"
    assert station.check().counters["expired"] == 1


def test_a_heartbeat_sweeps_a_hundred_expired_tasks(station: Station, worker: Worker) -> None:
    for _ in range(150):
        worker.enqueue_with(new_uid(1), expires_ms=1000, when=b"+5000")
    station.advance(1001)
    worker.beat()
    assert station.check().counters["expired"] == 100
    worker.beat()
    assert station.check().counters["expired"] == 150


def test_what_runs_or_has_run_does_not_expire(station: Station, worker: Worker) -> None:
    uid = worker.enqueue_with(new_uid(1), expires_ms=1000)
    (lease,) = worker.take()
    station.advance(1001)
    worker.beat()
    assert worker.state(uid) == "running"
    worker.retry(lease)
    assert worker.state(uid) == "due"
    assert uids(worker.take()) == [uid]


def test_an_expired_task_gives_its_key_to_the_next(station: Station, worker: Worker) -> None:
    first = worker.enqueue_with(new_uid(1), unique="k", expires_ms=1000)
    station.advance(1001)
    second = new_uid(1)
    assert worker.enqueue_with(second, unique="k") == second
    assert station.check().counters["expired"] == 1
    assert worker.state(first) == "finished"


def test_a_named_task_that_comes_again_is_not_leased_twice_for_its_tombstone(station: Station, worker: Worker) -> None:
    uid = given_uid("mine")
    worker.enqueue(uid)
    worker.cancel(uid)
    worker.delete(uid)
    station.raw(b"ZREM", station.key("seen"), uid)
    worker.enqueue(uid)
    leases = worker.take(10)
    assert uids(leases) == [uid]
    station.check()
