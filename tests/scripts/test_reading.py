"""status.lua, stats.lua, await.lua: to look at a task changes nothing about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.task_queue.codec import decode_task
from singleton_service.background.task_queue.ids import new_uid
from singleton_service.background.task_queue.link import Link
from singleton_service.background.task_queue.records import TaskStatus
from singleton_service.background.task_queue.scripts import load_scripts

from .station import body, failure

if TYPE_CHECKING:
    from singleton_service.background.engine import Engine

    from .station import Station, Worker


def test_a_task_is_seen_in_every_state_it_passes(station: Station, worker: Worker) -> None:
    uid = new_uid(1)
    blob = body(uid)
    assert worker.status(uid) == [[b"unknown", b"", b"", b"", b"", b"", b""]]
    worker.enqueue(uid)
    assert worker.status(uid) == [[b"ready", blob, b"", b"", b"", b"", b""]]
    (lease,) = worker.take()
    assert worker.status(uid) == [[b"running", blob, lease.token, b"", b"", b"", b""]]
    worker.retry(lease, delay_ms=1000)
    past = b"1|0|%d" % lease.fence
    state, _, due_ms, *rest = worker.status(uid)[0]
    assert (state, rest) == (b"due", [past, failure("again"), b"", b""])
    assert float(due_ms) == station.dump().zsets["due"][uid]
    station.advance(1_001)
    (lease,) = worker.take()
    worker.bury(lease)
    state, _, died_ms, *rest = worker.status(uid)[0]
    assert (state, rest) == (b"dead", [b"1|0|%d" % lease.fence, failure("again") + b"\n" + failure("never"), b"", b""])
    assert abs(float(died_ms) - lease.fence / 1000) < 60_000


def test_every_state_is_read_as_a_task(station: Station, worker: Worker) -> None:
    ready, running, held, retrying, dead, suspect = worker.put(6)
    leases = {lease.uid: lease for lease in worker.take(6)}
    worker.release(leases[ready], leases[suspect])
    worker.hold(leases[held], reason="why")
    worker.retry(leases[retrying], delay_ms=5000)
    worker.bury(leases[dead])
    statuses = {
        ready: TaskStatus.PENDING,
        running: TaskStatus.RUNNING,
        held: TaskStatus.PENDING,
        retrying: TaskStatus.RETRYING,
        dead: TaskStatus.FAILED,
        suspect: TaskStatus.PENDING,
    }
    for uid, reply in zip(statuses, worker.status(*statuses), strict=True):
        task = decode_task("q", uid, reply)
        assert task is not None
        assert (task.id, task.status) == (f"q.{uid}", statuses[uid])
        assert task.held_reason == ("why" if uid == held else None)
        assert (task.eta is not None) == (uid == retrying)
        assert (task.completed_at is not None) == (uid == dead)


def test_a_result_past_its_time_is_gone_for_every_reader_swept_or_not(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    worker.complete(*worker.take())
    assert worker.state(uid) == "finished"
    station.advance(station.limits.result_ttl_ms + 1)
    assert worker.state(uid) == "unknown"
    assert uid in station.check().hashes["results"]


def test_a_thousand_are_read_at_once_in_the_order_asked_for(worker: Worker) -> None:
    names = worker.put(999)
    replies = worker.status(*reversed(names), "unheard-of")
    assert [reply[0] for reply in replies] == [b"ready"] * 999 + [b"unknown"]
    assert worker.status() == []


def test_reading_writes_nothing(station: Station, worker: Worker) -> None:
    names = worker.put(3)
    worker.take(1)
    before = station.check()
    worker.status(*names, "unheard-of")
    worker.stats()
    assert station.check() == before


def test_everything_is_counted_where_it_is(station: Station, worker: Worker, other: Worker) -> None:
    assert worker.stats() == dict.fromkeys(
        ("ready", "suspects", "due", "held", "waiting", "running", "finished", "dead", "workers", "paused"), 0
    )
    for priority in range(4):
        worker.put(2, priority=priority)
    worker.put(3, when=b"+5000")
    done, failed, held, again, _ = worker.take(5)
    worker.complete(done)
    worker.bury(failed)
    worker.hold(held)
    worker.retry(again, delay_ms=9000)
    other.beat()
    assert worker.stats() == {
        "ready": 3,
        "suspects": 0,
        "due": 4,
        "held": 1,
        "waiting": 0,
        "running": 1,
        "finished": 1,
        "dead": 1,
        "workers": 2,
        "paused": 0,
        "total_enqueued": 11,
        "total_completed": 1,
        "total_failed": 1,
        "total_retried": 1,
    }


def test_who_waits_is_told_once_and_only_of_ends(station: Station, engine: Engine, worker: Worker) -> None:
    ear = Link(engine, load_scripts())
    ear.send(b"SUBSCRIBE", station.protocol("w").keys.ended_channel)
    assert ear.receive()[0] == b"subscribe"
    awaited, unheeded, buried = worker.put(3)
    for uid in (awaited, buried):
        assert worker.await_end(uid) == b"w"
        assert worker.await_end(uid) == b"w", "a second time"
    leases = {lease.uid: lease for lease in worker.take()}
    worker.retry(leases[awaited])
    worker.release(leases[buried])
    leases.update({lease.uid: lease for lease in worker.take()})
    worker.complete(leases[unheeded], leases[awaited])
    worker.bury(leases[buried])
    # Each finish had published before its own answer came: what is not here now never comes.
    heard = []
    while ear.has_reply(0.2):
        heard.append(ear.receive()[2].decode())
    ear.close()
    assert heard == [awaited, buried]
    assert station.check().hashes["waiters"] == {}


def test_who_asks_too_late_hears_so_at_once(station: Station, worker: Worker) -> None:
    done, failed = worker.put(2)
    first, second = worker.take()
    worker.complete(first)
    worker.bury(second)
    assert worker.await_end(done, failed, "unheard-of") == b"eeu"
    assert station.check().hashes["waiters"] == {}


def test_what_has_expired_is_not_waited_for_though_nobody_has_swept(station: Station, worker: Worker) -> None:
    uid = worker.enqueue_with(new_uid(1), expires_ms=100)
    assert worker.await_end(uid) == b"w"
    station.advance(101)
    assert worker.await_end(uid) == b"e"


def test_a_mark_is_its_makers_and_goes_with_the_last_of_them(station: Station, worker: Worker, other: Worker) -> None:
    (uid,) = worker.put()

    def marks() -> bytes | None:
        return station.check().hashes["waiters"].get(uid)

    assert worker.await_end(uid, uid, wanted=b"p") == b"ww"
    other.await_end(uid)
    assert marks() == b" p:0000000w e:0000000v"
    worker.await_end(uid)
    assert marks() == b" e:0000000v e:0000000w"
    assert other.await_end(uid, "unheard-of", wanted=b"n") == b"nn"
    assert marks() == b" e:0000000w"
    worker.await_end(uid, wanted=b"n")
    assert marks() is None


def test_processes_that_died_waiting_leave_no_more_than_so_many_marks(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    for n in range(100):
        station.worker(f"w{n}").await_end(uid)
    marks = station.check().hashes["waiters"][uid]
    assert marks.split() == [f"e:00000w{n}".encode() for n in range(68, 100)]
