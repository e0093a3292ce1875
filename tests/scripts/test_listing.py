"""Listing while the queue changes: what is there throughout is told, whatever comes and goes meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.codec import encode_body
from singleton_service.background.task_queue.ids import new_uid
from singleton_service.background.task_queue.listing import Wanted
from singleton_service.background.task_queue.records import TaskStatus

from .station import NOW

if TYPE_CHECKING:
    from .station import Station, Worker

LIMITS = (1, 7, 50, 3, 20)


def put_tagged(worker: Worker, name: str, *tags: str, unique: str | None = None) -> str:
    uid = new_uid(1)
    written = encode_body(name, b'{"n":"a","g":["eu"]}', 1, None, 3, tags=tags, unique_key=unique)
    worker.say(worker.speak.enqueue([(uid, NOW if unique is None else b"0;;drop", written)]))
    return uid


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_every_task_is_told_once_while_nothing_changes(worker: Worker, limit: int) -> None:
    uids = worker.put(150) + worker.put(20, when=b"+60000", priority=3)
    told = worker.listed(limit)
    assert sorted(told) == sorted(uids)


def test_a_task_that_stays_is_told_though_most_others_end_between_pages(station: Station, worker: Worker) -> None:
    uids = worker.put(600)
    kept = set(uids[::10])
    going = [uid for uid in uids if uid not in kept]
    told: set[str] = set()
    cursor: str | None = None
    for page in range(600):
        found, cursor = worker.page(LIMITS[page % len(LIMITS)], cursor)
        told.update(found)
        if cursor is None:
            break
        worker.cancel(*going[-30:])
        del going[-30:]
    assert cursor is None
    assert len(going) < 400, "many were to end meanwhile"
    assert kept <= told


def test_a_small_queue_that_grows_large_meanwhile_is_told_whole(station: Station, worker: Worker) -> None:
    # The server keeps small hashes in another form, of which SCAN answers with all there is.
    uids = [lease.uid for lease in worker.take(40)] if worker.put(40) else []
    told, cursor = worker.page(15, None, Wanted(TaskStatus.RUNNING))
    assert len(told) == 15
    worker.put(1000)
    worker.take(1000)
    while cursor is not None:
        found, cursor = worker.page(400, cursor, Wanted(TaskStatus.RUNNING))
        told += found
    assert set(uids) <= set(told)


def test_what_expired_is_told_though_it_is_swept_between_pages(worker: Worker, station: Station) -> None:
    uids = [worker.enqueue_with(new_uid(1), expires_ms=10) for _ in range(90)]
    station.advance(1000)
    told, cursor = worker.page(5, None, Wanted(TaskStatus.EXPIRED))
    worker.beat()
    while cursor is not None:
        found, cursor = worker.page(5, cursor, Wanted(TaskStatus.EXPIRED))
        told += found
    assert set(uids) == set(told)


def test_a_task_is_told_by_its_status_wherever_it_is(worker: Worker, station: Station) -> None:
    (running,) = [lease.uid for lease in worker.take(1)] if worker.put(1) else [""]
    at = {"running": running}
    worker.put(6)
    held, retrying, failed, done, cancelled, released = worker.take(6)
    worker.hold(held)
    worker.retry(retrying, delay_ms=60_000)
    worker.bury(failed)
    worker.complete(done)
    worker.release(released)
    worker.cancel(released.uid)
    worker.release(cancelled)
    worker.cancel(cancelled.uid)
    (later,) = worker.put(1, when=b"+60000")
    at |= {"retrying": retrying.uid, "failed": failed.uid, "completed": done.uid}
    for status, uid in at.items():
        assert worker.listed(2, Wanted(TaskStatus(status))) == [uid]
    assert set(worker.listed(2, Wanted(TaskStatus.PENDING))) == {held.uid, later}
    assert set(worker.listed(1, Wanted(TaskStatus.CANCELLED))) == {cancelled.uid, released.uid}


def test_names_and_tags_are_read_off_the_body_and_not_off_the_payload(worker: Worker) -> None:
    one, two = put_tagged(worker, "a", "eu", "nightly"), put_tagged(worker, 'a"],"p":', "nightly")
    three = put_tagged(worker, "b", unique='k,"p":')
    assert worker.listed(10, Wanted(name="a")) == [one]
    assert worker.listed(10, Wanted(name='a"],"p":')) == [two]
    assert worker.listed(10, Wanted(tag="eu")) == [one]
    assert set(worker.listed(10, Wanted(tag="nightly"))) == {one, two}
    assert worker.listed(10, Wanted(name="b", tag="nightly")) == []
    assert worker.listed(10, Wanted(name="b")) == [three]
    for lease in worker.take(3):
        worker.cancel(lease.uid)
        worker.release(lease)
    assert worker.listed(10, Wanted(TaskStatus.CANCELLED, name="a", tag="eu")) == [one], "ended ones, too"


def test_a_call_looks_at_a_thousand_tasks_at_most(worker: Worker) -> None:
    worker.put(1000)
    worker.put(500)
    told, cursor = worker.page(10, None, Wanted(tag="none has it"))
    assert told == []
    assert cursor is not None
    told, cursor = worker.page(10, cursor, Wanted(tag="none has it"))
    assert (told, cursor) == ([], None)


def test_a_page_of_large_tasks_is_a_short_one(worker: Worker) -> None:
    uids = [new_uid(1) for _ in range(12)]
    blob = encode_body("large", b'{"x":"%b"}' % (b"x" * 1_000_000), 1, None, 3)
    for uid in uids:
        worker.say(worker.speak.enqueue([(uid, NOW, blob)]))
    told, cursor = worker.page(100, None)
    assert 4 <= len(told) <= 6
    while cursor is not None:
        found, cursor = worker.page(100, cursor)
        told += found
    assert sorted(told) == sorted(uids)


def test_what_a_newer_version_wrote_is_told_but_has_no_name_to_go_by(worker: Worker) -> None:
    uid = new_uid(1)
    worker.say(worker.speak.enqueue([(uid, NOW, b"910not json")]))
    assert worker.listed(10) == [uid]
    assert worker.listed(10, Wanted(name="(written by a newer version)")) == []


@pytest.mark.parametrize(
    "cursor", ["x", "", "q:0:0", "q:9:0::", "q:x:0::", "q:0:-1::", "q:0:0::no uid", "q/:0:0::", "q:0:0:::", 5]
)
def test_what_is_no_cursor_is_refused(worker: Worker, cursor: str) -> None:
    with pytest.raises(ValueError, match="pass the `cursor` of the page before"):
        worker.page(10, cursor)
