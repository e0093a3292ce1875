"""progress.lua: how far running tasks have come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.codec import decode_task
from singleton_service.background.task_queue.link import Link
from singleton_service.background.task_queue.scripts import load_scripts

if TYPE_CHECKING:
    from singleton_service.background.engine import Engine

    from .station import Station, Worker


def test_the_latest_report_is_kept_and_read_with_the_task(station: Station, worker: Worker) -> None:
    first, other = worker.put(2)
    lease, _ = worker.take()
    assert worker.report(lease, percent=b"12.5", message=b"one|two\nthree") == b"1"
    assert worker.report(lease, percent=b"25.0", message="für dich".encode()) == b"1"
    task = decode_task("q", first, worker.status(first)[0])
    assert task is not None
    assert task.progress is not None
    assert (task.progress.percent, task.progress.message) == (25.0, "für dich")
    assert task.progress.updated_at >= (task.started_at or task.created_at)
    unheard = decode_task("q", other, worker.status(other)[0])
    assert unheard is not None
    assert unheard.progress is None
    assert set(station.check().hashes["progress"]) == {first}


def test_only_who_holds_a_task_reports_on_it(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(2)
    stale, mine = worker.take()
    worker.release(stale)
    (newer,) = other.take()
    other.report(newer, percent=b"10.0")
    before = station.dump()
    assert worker.report(stale, percent=b"99.0") == b"0"
    assert station.dump() == before
    assert worker.report(stale, mine, stale) == b"010"
    assert worker.report() == b""


@pytest.mark.parametrize("ending", ["complete", "bury", "cancel", "purge", "hold", "poison"])
def test_it_goes_with_the_end(station: Station, worker: Worker, other: Worker, ending: str) -> None:
    (uid,) = worker.put()
    (lease,) = worker.take()
    worker.report(lease)
    if ending == "complete":
        worker.complete(lease)
    elif ending == "bury":
        worker.bury(lease)
    elif ending == "hold":
        station.limit(unknown_task_ms=0)
        assert worker.hold(lease) == b"2"
    elif ending == "poison":
        for _ in range(3):
            worker.die_and_be_recovered(other)
            worker.report(*worker.take())
    else:
        worker.release(lease)
        assert set(station.check().hashes["progress"]) == {uid}
        assert worker.cancel(uid) == b"1" if ending == "cancel" else worker.purge() == (1, 0)
    assert station.check().hashes["progress"] == {}


def test_it_outlives_an_attempt(station: Station, worker: Worker, other: Worker) -> None:
    (uid,) = worker.put()
    worker.report(*worker.take())
    worker.die_and_be_recovered(other)
    worker.retry(*worker.take())
    assert set(station.check().hashes["progress"]) == {uid}


def test_who_watches_is_told_what_was_said(station: Station, engine: Engine, worker: Worker, other: Worker) -> None:
    ear = Link(engine, load_scripts())
    ear.send(b"SUBSCRIBE", station.protocol("w").keys.ended_channel)
    assert ear.receive()[0] == b"subscribe"
    (uid,) = worker.put()
    (lease,) = worker.take()
    assert worker.await_end(uid) == b"w"
    assert other.await_end(uid, wanted=b"p") == b"w"
    worker.report(lease, percent=b"12.0", message=b"a b|c")
    told = ear.receive()[2]
    assert told == uid.encode() + b" " + station.check().hashes["progress"][uid]
    assert told.endswith(b"|12.0|a b|c")
    assert other.await_end(uid, wanted=b"n") == b"n"
    worker.report(lease)
    worker.complete(lease)
    assert ear.receive()[2] == uid.encode()
    ear.close()


def test_nobody_is_told_who_does_not_watch(station: Station, engine: Engine, worker: Worker) -> None:
    ear = Link(engine, load_scripts())
    ear.send(b"SUBSCRIBE", station.protocol("w").keys.ended_channel)
    assert ear.receive()[0] == b"subscribe"
    worker.put(2)
    first, second = worker.take()
    assert worker.await_end(first.uid) == b"w"
    worker.report(first, second)
    worker.complete(first, second)
    heard = []
    while ear.has_reply(0.2):
        heard.append(ear.receive()[2].decode())
    ear.close()
    assert heard == [first.uid]
