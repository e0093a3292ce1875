"""unique="serial": who finds the key taken waits in line for it, and has it next, whatever became of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.codec import encode_body
from singleton_service.background.task_queue.ids import given_uid, new_uid

from .station import LIMITS, uids

if TYPE_CHECKING:
    from .station import Station, Worker


def put_in_line(worker: Worker, number: int, *, when: bytes = b"0", expires_ms: int | None = None) -> list[str]:
    names = [new_uid(1) for _ in range(number)]
    for uid in names:
        assert worker.enqueue_with(uid, unique="k", mode="serial", when=when, expires_ms=expires_ms) == uid
    return names


def test_tasks_of_one_key_run_one_after_the_other_in_their_order(station: Station, worker: Worker) -> None:
    names = put_in_line(worker, 4)
    for uid in names:
        leases = worker.take(10)
        assert uids(leases) == [uid]
        station.check()
        worker.complete(*leases)
        station.check()
    assert worker.take(10) == []


def test_a_batch_for_one_key_is_in_line_in_its_order(station: Station, worker: Worker) -> None:
    names = [given_uid(name) for name in "cab"]
    written = encode_body("job", b"{}", 1, 0, 3, unique_key="k")
    worker.say(worker.speak.enqueue([(uid, b"0;;serial", written) for uid in names]))
    station.check()
    for uid in names:
        (lease,) = worker.take(10)
        assert lease.uid == uid
        worker.complete(lease)


@pytest.mark.parametrize(
    "ending", ["complete", "bury", "cancel", "expire", "purge", "third crash", "held too long", "told to stop"]
)
def test_every_ending_hands_the_key_on_and_wakes_somebody(station: Station, worker: Worker, ending: str) -> None:
    first = worker.enqueue_with(new_uid(1), unique="k", expires_ms=1000 if ending == "expire" else None)
    if ending in {"complete", "bury", "told to stop"}:
        (lease,) = worker.take()
    (second, third) = put_in_line(worker, 2)
    if ending in {"complete", "bury"}:
        getattr(worker, ending)(lease)
    elif ending == "cancel":
        worker.cancel(first)
    elif ending == "purge":
        worker.purge()
        # Those in line are no less purged.
        assert station.check().bodies == set()
        return
    elif ending == "expire":
        station.advance(1001)
        worker.beat()
    elif ending == "third crash":
        for name in ("a", "b", "c"):
            station.worker(name).take()
            station.worker(name).die_and_be_recovered(by=worker)
    elif ending == "held too long":
        worker.hold(*worker.take())
        station.advance(LIMITS.unknown_task_ms + 60_000)
        worker.hold(*worker.take())
    else:
        worker.cancel(first)
        worker.retry(lease)
    dump = station.check()
    assert dump.lists["wake"] == ["1"]
    assert dump.hashes["unique"] == {"k": second.encode()}
    assert uids(worker.take(10)) == [second]
    assert worker.state(third) == "waiting"


def test_an_attempt_that_failed_keeps_the_key(station: Station, worker: Worker) -> None:
    first, second = put_in_line(worker, 2)
    for end in (worker.retry, worker.release, worker.hold):
        station.advance(5000)
        leases = worker.take(10)
        assert uids(leases) == [first]
        end(*leases)
        assert worker.state(second) == "waiting"


def test_who_waits_in_line_can_be_cancelled_and_can_expire(station: Station, worker: Worker) -> None:
    (first,) = put_in_line(worker, 1)
    (second,) = put_in_line(worker, 1)
    (third,) = put_in_line(worker, 1, expires_ms=1000)
    (fourth,) = put_in_line(worker, 1)
    assert worker.cancel(second) == b"1"
    station.check()
    station.advance(1001)
    assert worker.state(third) == "expired"
    worker.beat()
    dump = station.check()
    assert [uid for _, _, uid in dump.in_line] == [fourth]
    (lease,) = worker.take(10)
    assert lease.uid == first
    worker.complete(lease)
    assert uids(worker.take(10)) == [fourth]


def test_one_that_is_for_later_is_for_later_when_it_has_the_key(station: Station, worker: Worker) -> None:
    (first,) = put_in_line(worker, 1)
    (second,) = put_in_line(worker, 1, when=b"+60000")
    (lease,) = worker.take(10)
    assert lease.uid == first
    worker.complete(lease)
    assert worker.state(second) == "due"
    assert worker.take(10) == []
    station.advance(60_000)
    assert uids(worker.take(10)) == [second]


def test_other_modes_find_the_key_taken_and_the_line_as_it_is(station: Station, worker: Worker) -> None:
    first, second = put_in_line(worker, 2)
    assert worker.enqueue_with(new_uid(1), unique="k") == first
    replacing = new_uid(1)
    assert worker.enqueue_with(replacing, unique="k", mode="replace") == replacing
    dump = station.check()
    assert dump.hashes["unique"] == {"k": replacing.encode()}
    assert [uid for _, _, uid in dump.in_line] == [second]


@pytest.mark.parametrize("mode", ["drop", "replace", "serial"])
def test_the_key_of_an_expired_task_is_its_successors(station: Station, worker: Worker, mode: str) -> None:
    worker.enqueue_with(new_uid(1), unique="k", expires_ms=1000)
    (second,) = put_in_line(worker, 1)
    station.advance(1001)
    new = new_uid(1)
    assert worker.enqueue_with(new, unique="k", mode=mode) == (new if mode == "serial" else second)
    station.check()
    worker.beat()
    assert uids(worker.take(10)) == [second]


def test_a_repeated_enqueue_stands_in_line_once(station: Station, worker: Worker) -> None:
    put_in_line(worker, 1)
    uid = new_uid(1)
    for _ in range(3):
        worker.enqueue_with(uid, unique="k", mode="serial")
    assert len(station.check().in_line) == 1


def test_a_named_task_in_line_is_not_leased_for_its_tombstone(station: Station, worker: Worker) -> None:
    uid = given_uid("mine")
    worker.enqueue(uid)
    worker.cancel(uid)
    worker.delete(uid)
    station.raw(b"ZREM", station.key("seen"), uid)
    (first,) = put_in_line(worker, 1)
    worker.enqueue_with(uid, unique="k", mode="serial")
    leases = worker.take(10)
    assert uids(leases) == [first]
    worker.complete(*leases)
    assert uids(worker.take(10)) == [uid]


def test_a_purge_of_a_long_line_is_bounded(station: Station, worker: Worker) -> None:
    put_in_line(worker, 7)
    cancelled = 0
    for _ in range(10):
        number, more = worker.purge(3)
        cancelled += number
        station.check()
        if not more:
            break
    assert cancelled == 7
    assert station.check().leftovers().keys() <= {"ready:1"}


def test_who_waits_counts_as_pending_and_is_shown_with_what_it_waits_for(station: Station, worker: Worker) -> None:
    put_in_line(worker, 1)
    (second,) = put_in_line(worker, 1)
    assert worker.status(second)[0][2] == b"uk"
    assert worker.stats()["waiting"] == 1
