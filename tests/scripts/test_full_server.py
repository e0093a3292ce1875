"""A server that is full refuses new tasks cleanly, and is drained by whoever is there or comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.engine import open_engine
from singleton_service.background.task_queue import QueueUnavailableError
from singleton_service.background.task_queue.client import QueueClient
from singleton_service.background.task_queue.ids import given_uid, new_uid

from .invariants import check_drained
from .station import LEASE_OVER_MS, Station

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .station import Worker


@pytest.fixture
def station(redis_url: str) -> Iterator[Station]:
    # The run's own server, filled for the length of one test: the limit is below what it uses already.
    engine = open_engine(Settings(redis_url=redis_url))
    station = Station(engine, "full")
    yield station
    make_room(station)
    station.check()
    station.erase()
    station.close()
    engine.close()


def fill(station: Station) -> None:
    station.raw(b"CONFIG", b"SET", b"maxmemory-policy", b"noeviction")
    station.raw(b"CONFIG", b"SET", b"maxmemory", 1)


def make_room(station: Station) -> None:
    # A full server takes no transaction either, so a test makes room before it looks.
    station.raw(b"CONFIG", b"SET", b"maxmemory", 0)


@pytest.mark.parametrize("when", [b"0", b"+5000"])
@pytest.mark.parametrize("number", [1, 1000])
def test_an_enqueue_is_refused_and_leaves_no_trace(station: Station, worker: Worker, when: bytes, number: int) -> None:
    fill(station)
    with pytest.raises(QueueUnavailableError, match="maxmemory"):
        worker.enqueue(*(new_uid(1) for _ in range(number)), given_uid("mine"), when=when)
    assert station.all_keys() == []


def test_a_refused_task_goes_in_when_there_is_room_again(station: Station, worker: Worker) -> None:
    uid = given_uid("mine")
    fill(station)
    with pytest.raises(QueueUnavailableError):
        worker.enqueue(uid)
    make_room(station)
    assert worker.enqueue(uid) == 1


def test_what_is_there_can_be_fetched_and_finished(station: Station, worker: Worker) -> None:
    worker.put(1000)
    worker.put(3, when=b"+1000")
    fill(station)
    assert worker.complete(*worker.take(1000)) == b"1" * 1000
    station.advance(1_001)
    assert worker.complete(*worker.take(10)) == b"111"
    worker.take()
    make_room(station)
    check_drained(station.check())


def test_every_ending_can_be_told(station: Station, worker: Worker) -> None:
    worker.put(5)
    fill(station)
    completed, retried, buried, released, held = worker.take(5)
    assert worker.complete(completed) == b"1"
    assert worker.retry(retried) == b"1"
    assert worker.bury(buried) == b"1"
    assert worker.release(released) == b"1"
    assert worker.hold(held) == b"1"
    assert worker.sweep() == (0, 0)


def test_leases_are_kept_alive(station: Station, worker: Worker) -> None:
    worker.put()
    worker.take()
    fill(station)
    station.advance(LEASE_OVER_MS - 60_000)
    assert worker.beat().owned == 1
    station.advance(LEASE_OVER_MS - 60_000)
    assert worker.beat().lost_workers == []
    station.advance(LEASE_OVER_MS - 60_000)
    assert station.worker("v").beat().lost_workers == []


def test_what_has_begun_is_noted(station: Station, worker: Worker) -> None:
    worker.put()
    (lease,) = worker.take(1, 0)
    fill(station)
    assert worker.start(lease) == 1
    make_room(station)
    assert station.check().owned["w"] == {lease.uid: b"1"}


def test_progress_is_noted(station: Station, worker: Worker) -> None:
    worker.put()
    (lease,) = worker.take()
    fill(station)
    assert worker.report(lease, percent=b"10.0") == b"1"
    assert worker.report(lease, percent=b"20.0") == b"1"
    make_room(station)
    assert b"|20.0|" in station.check().hashes["progress"][lease.uid]


def test_the_dead_are_recovered_and_the_lost_is_found(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(5)
    worker.take(3)
    other.take(2)
    fill(station)
    assert other.reconcile() == 2
    assert worker.die_and_be_recovered(other) == (3, 0, 0)
    assert len(other.take()) == 5
    assert other.leave() == 5, "and whoever goes hands on at once"
    assert worker.beat().lost_workers == ["v"]


def test_who_waits_is_told(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    fill(station)
    assert worker.await_end(uid) == b"w"
    make_room(station)
    assert station.check().hashes["waiters"] == {uid: b" e:0000000w"}


def test_a_process_that_comes_now_can_work_on_a_queue_that_is_known(station: Station) -> None:
    def client() -> QueueClient:
        settings = Settings(redis_url=station.engine.url, namespace=station.namespace)
        return QueueClient(open_engine(settings), settings)

    before, now = client(), client()
    before.register_queue("q")
    fill(station)
    now.register_queue("q")
    assert now.queues() == ["q"]
    with pytest.raises(QueueUnavailableError):
        now.register_queue("unknown")
    # The queues that workers take from unless told otherwise: most of them are empty, and keep nobody from the others.
    now.register_queue("unknown", to_take=True)
    before.close()
    now.close()
