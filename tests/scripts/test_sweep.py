"""sweep.lua: endings are forgotten by age and by number, a bounded lot at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .station import failure

if TYPE_CHECKING:
    from .station import Station, Worker


def finish(worker: Worker, number: int) -> list[str]:
    names = worker.put(number)
    worker.complete(*worker.take(number))
    return names


def fail(worker: Worker, number: int) -> list[str]:
    names = worker.put(number)
    worker.bury(*worker.take(number))
    return names


def test_nothing_young_and_few_is_forgotten(station: Station, worker: Worker) -> None:
    finish(worker, 3)
    fail(worker, 3)
    before = station.check()
    assert worker.sweep() == (0, 0)
    assert station.check() == before


def test_results_go_by_age(station: Station, worker: Worker) -> None:
    finish(worker, 5)
    station.advance(station.limits.result_ttl_ms + 1)
    assert worker.sweep() == (5, 0)
    assert worker.sweep() == (0, 0)
    dump = station.check()
    assert (dump.hashes["results"], dump.lists["finished"]) == ({}, [])


def test_failed_tasks_go_by_age_with_all_that_was_known_of_them(station: Station, worker: Worker) -> None:
    worker.put()
    worker.retry(*worker.take(), error=failure("first"))
    worker.bury(*worker.take())
    station.advance(station.limits.failed_ttl_ms - 60_000)
    (young,) = fail(worker, 1)
    station.advance(120_000)
    assert worker.sweep() == (0, 1)
    dump = station.check()
    assert dump.bodies == set(dump.hashes["errors"]) == set(dump.hashes["attempts"]) == {young}
    assert dump.counters["failed"] == 2, "what happened is counted for ever"


def test_results_go_by_number_oldest_first(station: Station, worker: Worker) -> None:
    finish(worker, 10)
    station.advance(1)
    young = finish(worker, 5)
    station.limit(max_results=5)
    assert worker.sweep() == (10, 0)
    assert set(station.check().hashes["results"]) == set(young)


def test_failed_tasks_go_by_number_oldest_first(station: Station, worker: Worker) -> None:
    fail(worker, 10)
    station.advance(1)
    young = fail(worker, 5)
    station.limit(max_failed=5)
    assert worker.sweep() == (0, 10)
    assert station.check().bodies == set(young)


def test_one_call_forgets_no_more_than_its_limit(station: Station, worker: Worker) -> None:
    finish(worker, 25)
    fail(worker, 25)
    station.limit(max_results=0, max_failed=0)
    gone = [worker.sweep(10) for _ in range(4)]
    assert gone == [(10, 10), (10, 10), (5, 5), (0, 0)]
    station.check()


def test_a_thousand_of_each_go_at_once(station: Station, worker: Worker) -> None:
    finish(worker, 1000)
    fail(worker, 1000)
    station.advance(station.limits.result_ttl_ms + 1)
    assert worker.sweep(1000) == (1000, 1000)
    assert station.check().bodies == set()


def test_live_tasks_are_never_swept(station: Station, worker: Worker) -> None:
    names = worker.put(6)
    leases = worker.take(4)
    worker.retry(leases[0], delay_ms=10**10)
    worker.hold(leases[1])
    station.limit(max_results=0, max_failed=0)
    station.advance(station.limits.failed_ttl_ms * 100)
    assert worker.sweep() == (0, 0)
    assert station.check().bodies == set(names)


def test_beats_forget_what_is_old_where_nothing_ends_any_more(station: Station, worker: Worker) -> None:
    finish(worker, 250)
    fail(worker, 250)
    station.advance(station.limits.result_ttl_ms + 1)
    left = []
    for _ in range(3):
        worker.beat()
        dump = station.check()
        left.append((len(dump.hashes["results"]), len(dump.zsets["dead"])))
    assert left == [(150, 150), (50, 50), (0, 0)], "a hundred of each a beat"
    assert dump.leftovers() == {}


def test_no_more_failed_tasks_are_kept_than_may_be(station: Station, worker: Worker) -> None:
    station.limit(max_failed=5)
    for _ in range(20):
        fail(worker, 1)
        station.advance(1)
    assert len(station.check().zsets["dead"]) == 5


def test_what_is_cancelled_by_the_thousand_is_kept_within_bounds(station: Station, worker: Worker) -> None:
    station.limit(max_results=100)
    worker.put(1000)
    assert worker.purge() == (1000, 1)
    dump = station.check()
    assert len(dump.hashes["results"]) == len(dump.lists["finished"]) == 100


def test_a_deleted_result_leaves_its_place_until_its_turn_comes(station: Station, worker: Worker) -> None:
    station.limit(max_results=3)
    names = finish(worker, 3)
    assert worker.delete(names[1]) == b"1"
    assert station.check().lists["finished"] == names
    finish(worker, 3)
    assert len(station.check().lists["finished"]) == 3, "places are counted, so there are never more"


def test_a_callers_own_id_that_ended_again_is_not_forgotten_by_its_first_place(
    station: Station, worker: Worker
) -> None:
    uid = "=mine"
    worker.enqueue(uid)
    worker.complete(*worker.take())
    worker.delete(uid)
    station.advance(25 * 3600 * 1000)
    station.limit(result_ttl_ms=10**9, max_results=1)
    # `seen` forgets it by age as others come.
    worker.enqueue("=other", when=b"+999999999")
    assert worker.enqueue(uid) == 1
    worker.complete(*worker.take())
    assert worker.state(uid) == "finished", "its first place went, its second one counts"
    assert len(station.check().lists["finished"]) == 1


def test_the_names_of_the_last_thousand_workers_are_known(station: Station, worker: Worker) -> None:
    for n in range(1003):
        one = station.worker(f"w{n}")
        worker.put()
        one.complete(*one.take())
        one.leave()
    dump = station.dump()
    assert len(dump.hashes["crew"]) == 2 * 1000 + 1
    uid = dump.lists["finished"]
    assert [worker.status(uid[n])[0][2] for n in (0, 3, 1002)] == [b"", b"w3", b"w1002"]
