"""fetch.lua: who gets what, in which order, and when to ask again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.task_queue.ids import given_uid, new_uid

from .station import body, uids

if TYPE_CHECKING:
    from .station import Station, Worker


def test_a_lease_says_everything_about_the_task(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    (lease,) = worker.take()
    assert (lease.uid, lease.queue, lease.worker) == (uid, "q", "w")
    assert lease.body.startswith(b"1103|")
    assert (lease.retry_count, lease.crashes, lease.is_suspect) == (0, 0, False)
    assert lease.token == b"%d|w" % lease.fence
    assert station.check().hashes["running"] == {uid: lease.token}


def test_an_empty_queue_gives_nothing_and_no_time(worker: Worker) -> None:
    fetched = worker.fetch()
    assert (fetched.leases, fetched.next_ms) == ([], None)


def test_asking_for_none_gives_none(station: Station, worker: Worker) -> None:
    worker.put()
    assert worker.take(0) == []
    assert station.check().lists["wake"] == ["1"]


def test_a_task_is_handed_out_once(station: Station, worker: Worker, other: Worker) -> None:
    names = worker.put(3)
    assert uids(worker.take(2)) == names[:2]
    assert uids(other.take(5)) == names[2:]
    assert worker.take() == []


def test_a_higher_priority_goes_first_and_each_is_in_order(worker: Worker) -> None:
    low, high, normal = worker.put(2, priority=0), worker.put(2, priority=3), worker.put(2, priority=1)
    assert uids(worker.take(6)) == [*high, *normal, *low]


def test_a_callers_own_id_comes_back_to_the_list_of_its_priority(station: Station, worker: Worker) -> None:
    uid = given_uid("urgent")
    worker.enqueue(uid, priority=3)
    worker.release(*worker.take())
    assert station.check().lists["ready:3"] == [uid]
    worker.retry(*worker.take())
    normal = worker.put()
    assert uids(worker.take()) == [uid, *normal]


def test_fences_rise_with_every_fetch(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(6)
    fences = [lease.fence for each in (worker, other, worker) for lease in each.take(2)]
    assert fences[0] == fences[1], "one per fetch"
    assert fences[0] < fences[2] < fences[4]


def test_fences_rise_even_when_the_servers_clock_goes_back(station: Station, worker: Worker) -> None:
    worker.put(2)
    (first,) = worker.take(1)
    station.advance(-3_600_000)
    (second,) = worker.take(1)
    assert second.fence == first.fence + 1


def test_a_fetch_says_how_long_until_the_next_due_task(station: Station, worker: Worker) -> None:
    worker.put(when=b"+9000")
    worker.put(when=b"+5000")
    next_ms = worker.fetch().next_ms
    assert next_ms is not None
    assert 4000 < next_ms <= 5000


def test_what_is_due_comes_after_what_is_ready_in_the_order_of_its_time(station: Station, worker: Worker) -> None:
    second, first = worker.put(when=b"+2000"), worker.put(when=b"+1000")
    ready = worker.put()
    station.advance(2_001)
    assert uids(worker.take()) == [*ready, *first, *second]


def test_a_hundred_due_tasks_are_moved_at_once_and_the_rest_is_due_now(station: Station, worker: Worker) -> None:
    worker.put(250, when=b"+1000")
    station.advance(1_001)
    assert worker.fetch(0).next_ms == 0
    dump = station.check()
    assert (len(dump.lists["ready:1"]), len(dump.zsets["due"])) == (100, 150)
    assert len(worker.take(1000)) == 200
    assert len(worker.take(1000)) == 50


def test_the_token_goes_with_the_last_task_and_stays_while_work_is_left(station: Station, worker: Worker) -> None:
    worker.put(3)
    worker.take(2)
    assert station.check().lists["wake"] == ["1"]
    worker.take(2)
    assert station.check().lists["wake"] == []


def test_a_token_that_a_dispatcher_took_to_its_grave_is_put_back_by_any_fetch(
    station: Station, worker: Worker, other: Worker
) -> None:
    worker.put(3)
    assert station.raw(b"LPOP", station.key("wake")) == b"1"
    station.check(token_taken=True)
    other.take(1)
    assert station.check().lists["wake"] == ["1"]


def test_a_fetch_of_nothing_puts_a_token_back_but_never_a_second(station: Station, worker: Worker) -> None:
    worker.put()
    station.raw(b"LPOP", station.key("wake"))
    for _ in range(2):
        assert worker.take(0) == []
        assert station.check().lists["wake"] == ["1"]
    worker.complete(*worker.take())
    worker.take(0)
    assert station.check().lists["wake"] == [], "there is nothing to wake anybody for"


def test_a_uid_without_a_body_is_skipped(station: Station, worker: Worker) -> None:
    names = worker.put(5)
    # A cancelled task's body is gone at once, its place in the list is passed by.
    assert worker.cancel(*names[:4]) == b"1111"
    assert len(station.check().tombstones) == 4
    assert uids(worker.take(2)) == names[4:]
    assert station.check().tombstones == []


def test_only_the_first_count_as_started(station: Station, worker: Worker) -> None:
    worker.put(5)
    leases = worker.take(5, 2)
    owned = station.check().owned["w"]
    assert [owned[lease.uid] for lease in leases] == [b"1", b"1", b"0", b"0", b"0"]


def test_starting_is_noted_only_for_ones_own_leases(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(2)
    mine, second = worker.take(2, 0)
    assert worker.start(mine, second) == 2
    assert set(station.check().owned["w"].values()) == {b"1"}
    worker.release(second)
    (theirs,) = other.take(1, 0)
    assert theirs.uid == second.uid
    assert worker.start(second) == 0, "it is not ours any more"
    assert worker.start() == 0
    assert station.check().owned["v"] == {theirs.uid: b"0"}


def test_a_thousand_are_fetched_and_started_at_once(station: Station, worker: Worker) -> None:
    worker.put(1000)
    leases = worker.take(1000, 0)
    assert len(leases) == 1000
    assert worker.start(*leases) == 1000
    station.check()


def test_a_body_of_a_newer_version_is_handed_out_as_it_is(station: Station, worker: Worker) -> None:
    uid = new_uid(2)
    blob = b"92" + body()[2:]
    worker.say(worker.speak.enqueue([(uid, b"0", blob)]))
    assert station.check().lists["ready:2"] == [uid]
    (lease,) = worker.take()
    assert lease.body == blob


def test_released_tasks_are_next_in_their_old_order_and_uncounted(station: Station, worker: Worker) -> None:
    names = worker.put(4)
    leases = worker.take(3)
    assert worker.release(*leases) == b"111"
    dump = station.check()
    assert dump.lists["ready:1"] == names
    assert dump.hashes["attempts"] == {}
    assert worker.release(*leases) == b"000", "a second time"
    assert worker.release() == b""


def test_a_thousand_are_released_at_once(station: Station, worker: Worker) -> None:
    names = worker.put(1000)
    assert worker.release(*worker.take(1000)) == b"1" * 1000
    assert station.check().lists["ready:1"] == names


def test_a_large_fetch_makes_tables_of_its_leases_and_leaves_nothing_else_there(
    station: Station, worker: Worker
) -> None:
    worker.put(100)
    leases = worker.take(100)
    keys = worker.speak.keys
    for hash_name in ("running", "owned"):
        assert station.raw(b"OBJECT", b"ENCODING", keys.key(hash_name)) == b"hashtable"
        assert station.raw(b"HLEN", keys.key(hash_name)) == len(leases) == 100
