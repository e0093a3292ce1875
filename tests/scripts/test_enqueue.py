"""add.lua and enqueue.lua: each uid once, ready or due, and nothing at all on a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.ids import given_uid, new_uid
from singleton_service.background.task_queue.protocol import SEEN_FOR_MS

from .invariants import check_drained
from .station import body, uids

if TYPE_CHECKING:
    from .station import Station, Worker

DAY_MS = 24 * 3600 * 1000
# Where there is no bound, plain tasks are added by a script of their own, many at once in another way than few.
both_scripts = pytest.mark.parametrize("max_backlog", [0, 10_000], ids=["add", "enqueue"])
few_or_many = pytest.mark.parametrize("others", [0, 20], ids=["few", "many"])


def test_a_task_is_ready_at_once_and_somebody_is_woken(station: Station, worker: Worker) -> None:
    uid = new_uid(1)
    assert worker.enqueue(uid) == 1
    dump = station.check()
    assert (dump.lists["ready:1"], dump.lists["wake"]) == ([uid], ["1"])
    assert dump.blobs[uid] == body(uid)


@pytest.mark.parametrize("priority", range(4))
def test_each_priority_has_its_own_list(station: Station, worker: Worker, priority: int) -> None:
    made, given = new_uid(priority), given_uid(f"mine-{priority}")
    worker.enqueue(made, given, priority=priority)
    assert station.check().lists[f"ready:{priority}"] == [made, given]


def test_an_empty_batch_changes_nothing(station: Station, worker: Worker) -> None:
    assert worker.enqueue() == 0
    assert station.all_keys() == []


def test_a_thousand_go_in_at_once_and_keep_their_order(station: Station, worker: Worker) -> None:
    names = worker.put(1000)
    assert station.check().lists["ready:1"] == names
    assert uids(worker.take(1000)) == names


def test_a_thousand_may_be_due_later(station: Station, worker: Worker) -> None:
    names = worker.put(1000, when=b"+5000")
    assert set(station.check().zsets["due"]) == set(names)


@both_scripts
@few_or_many
def test_the_same_uid_twice_in_a_batch_is_one_task(
    station: Station, worker: Worker, max_backlog: int, others: int
) -> None:
    station.limit(max_backlog=max_backlog)
    uid, *more = (new_uid(1) for _ in range(1 + others))
    assert worker.enqueue(uid, *more, uid) == 1 + others
    assert station.check().ready == [uid, *more]


@both_scripts
def test_a_repeated_enqueue_adds_nothing_wherever_the_task_is(
    station: Station, worker: Worker, max_backlog: int
) -> None:
    station.limit(max_backlog=max_backlog)
    uid = new_uid(1)

    def repeat() -> int:
        added = worker.enqueue(uid)
        station.check()
        return added

    assert worker.enqueue(uid) == 1
    assert repeat() == 0, "ready"
    (lease,) = worker.take()
    assert repeat() == 0, "running"
    assert worker.hold(lease) == b"1"
    assert repeat() == 0, "held"
    station.advance(1_001)
    (lease,) = worker.take()
    assert worker.retry(lease, delay_ms=10) == b"1"
    assert repeat() == 0, "due"
    station.advance(11)
    (lease,) = worker.take()
    assert worker.complete(lease) == b"1"
    assert repeat() == 0, "finished"
    assert worker.stats()["total_enqueued"] == 1


def test_a_repeated_enqueue_does_not_wake_a_failed_task(station: Station, worker: Worker) -> None:
    uid = new_uid(1)
    worker.enqueue(uid)
    (lease,) = worker.take()
    worker.bury(lease)
    assert worker.enqueue(uid) == 0
    assert worker.state(uid) == "dead"


def test_of_a_repeated_batch_only_what_is_missing_goes_in(station: Station, worker: Worker) -> None:
    first, second = new_uid(1), new_uid(1)
    worker.enqueue(first)
    assert worker.enqueue(first, second) == 1
    assert station.check().ready == [first, second]


def test_of_a_large_repeated_batch_only_what_is_missing_goes_in(station: Station, worker: Worker) -> None:
    names = [new_uid(1) for _ in range(30)]
    assert worker.enqueue(*names[:20]) == 20
    assert worker.enqueue(*names) == 10
    assert worker.enqueue(*names) == 0
    assert station.check().ready == names


@both_scripts
def test_plain_tasks_and_others_go_in_together(station: Station, worker: Worker, max_backlog: int) -> None:
    station.limit(max_backlog=max_backlog)
    plain, given, urgent = new_uid(1), given_uid("mine"), new_uid(3)
    worker.enqueue(plain, given, plain)
    worker.enqueue(urgent, priority=3)
    assert station.check().lists["ready:1"] == [plain, given]
    assert uids(worker.take(3)) == [urgent, plain, given]


@both_scripts
def test_a_batch_that_comes_late_after_its_repeat_adds_nothing(
    station: Station, worker: Worker, max_backlog: int
) -> None:
    station.limit(max_backlog=max_backlog)
    # More than are looked up one by one, and more than one page.
    names = worker.put(1000)
    worker.complete(*worker.take(500))
    assert worker.enqueue(*names) == 0
    station.check()
    assert worker.enqueue(*names[:20], new_uid(1)) == 1
    assert len(station.check().ready) == 501


def test_a_callers_own_id_is_one_task(station: Station, worker: Worker) -> None:
    uid = given_uid("invoice-1")
    assert worker.enqueue(uid) == 1
    assert worker.enqueue(uid) == 0
    (lease,) = worker.take()
    assert worker.enqueue(uid) == 0
    worker.complete(lease)
    assert worker.enqueue(uid) == 0
    assert worker.stats()["total_enqueued"] == 1


def test_a_callers_own_id_is_remembered_for_a_day_when_its_result_is_long_gone(
    station: Station, worker: Worker
) -> None:
    station.limit(max_results=0)
    uid = given_uid("nightly")
    worker.enqueue(uid)
    worker.complete(*worker.take())
    assert worker.state(uid) == "unknown"
    station.advance(DAY_MS - 60_000)
    assert worker.enqueue(uid) == 0
    station.advance(120_000)
    # The memory is swept by the next enqueue of such an id.
    assert worker.enqueue(given_uid("another")) == 1
    assert worker.enqueue(uid) == 1
    assert SEEN_FOR_MS == DAY_MS


def test_a_callers_own_id_that_still_lives_after_a_day_is_still_one_task(station: Station, worker: Worker) -> None:
    uid = given_uid("slow")
    worker.enqueue(uid, when=b"+%d" % (3 * DAY_MS))
    station.advance(2 * DAY_MS)
    worker.enqueue(given_uid("another"))
    assert uid not in station.check().zsets["seen"]
    assert worker.enqueue(uid) == 0


def test_what_is_seen_is_forgotten_a_hundred_at_a_time(station: Station, worker: Worker) -> None:
    worker.enqueue(*(given_uid(f"n{n}") for n in range(250)))
    station.advance(DAY_MS + 60_000)
    left = []
    for n in range(4):
        worker.enqueue(given_uid(f"later{n}"))
        left.append(len(station.check().zsets["seen"]))
    assert left == [151, 52, 3, 4]


def test_a_delay_counts_from_the_servers_now(station: Station, worker: Worker) -> None:
    (uid,) = worker.put(when=b"+5000")
    fetched = worker.fetch()
    assert fetched.leases == []
    assert fetched.next_ms is not None
    assert 0 < fetched.next_ms <= 5000
    station.advance(5_001)
    assert uids(worker.take()) == [uid]


def test_a_point_in_time_is_kept_as_it_is(station: Station, worker: Worker) -> None:
    (uid,) = worker.put(when=b"=4102444800000")
    assert station.check().zsets["due"] == {uid: 4102444800000}


def test_a_point_in_time_that_is_over_is_due_now(worker: Worker) -> None:
    (uid,) = worker.put(when=b"=1000")
    assert uids(worker.take()) == [uid]


def test_only_a_new_earliest_due_time_wakes_anybody(station: Station, worker: Worker) -> None:
    def woken(when: bytes) -> bool:
        station.raw(b"DEL", station.key("wake"))
        worker.put(when=when)
        return bool(station.dump().lists["wake"])

    assert woken(b"+5000"), "the first"
    assert not woken(b"+9000"), "a later one"
    assert woken(b"+100"), "an earlier one"


def test_there_is_never_more_than_one_token(station: Station, worker: Worker) -> None:
    for _ in range(3):
        worker.put(2)
    assert station.check().lists["wake"] == ["1"]


def test_nothing_is_left_of_a_thousand_tasks_but_their_results(station: Station, worker: Worker) -> None:
    worker.put(1000)
    worker.complete(*worker.take(1000))
    worker.take()
    worker.leave()
    dump = station.check()
    check_drained(dump)
    assert (len(dump.hashes["results"]), dump.lists["wake"], dump.zsets["workers"]) == (1000, [], {})
