"""complete.lua, retry.lua, bury.lua: only the holder of the lease, only once, and again when an answer was lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from .invariants import check_drained
from .station import LEASE_OVER_MS, Ending, failure, uids

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.task_queue.lease import Lease

    from .station import Station, Worker

VERBS = ("complete", "retry", "bury")


def finish(verb: str, worker: Worker, *leases: Lease, **options: Any) -> bytes:
    method: Callable[..., bytes] = getattr(worker, verb)
    return method(*leases, **options)


def test_completing_leaves_a_result_and_nothing_else(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    (lease,) = worker.take()
    assert worker.complete(lease, result=b'{"sum":42}') == b"1"
    dump = station.check()
    check_drained(dump)
    ending = Ending.read(dump.hashes["results"][uid])
    assert (ending.state, ending.retries, ending.fence, ending.errors) == ("c", 0, lease.fence, [])
    assert (ending.result, ending.body) == (b'{"sum":42}', lease.body)
    assert lease.fence // 1000 <= ending.ended_ms <= lease.fence // 1000 + 60_000
    assert dump.lists["finished"] == [uid]
    assert worker.status(uid)[0][2] == b"w", "who finished it"
    assert dump.counters == {"enqueued": 1, "completed": 1}


def test_a_result_keeps_the_errors_of_earlier_attempts(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    for n in range(2):
        worker.retry(*worker.take(), error=failure(f"attempt {n}"))
    worker.complete(*worker.take())
    ending = Ending.read(station.check().hashes["results"][uid])
    assert (ending.retries, ending.errors) == (2, [failure("attempt 0"), failure("attempt 1")])
    assert station.dump().leftovers() == {}


def test_a_failed_attempt_is_due_again_after_its_delay(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    (lease,) = worker.take()
    assert worker.retry(lease, delay_ms=5000) == b"1"
    dump = station.check()
    assert list(dump.zsets["due"]) == [uid]
    assert dump.hashes["attempts"][uid] == b"1|0|%d" % lease.fence
    assert dump.hashes["errors"][uid] == failure("again")
    assert dump.counters["retried"] == 1
    assert worker.take() == []
    station.advance(5_001)
    (lease,) = worker.take()
    assert (lease.uid, lease.retry_count) == (uid, 1)


def test_a_failed_task_keeps_its_body_and_every_error(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    worker.retry(*worker.take(), error=failure("first"))
    assert worker.bury(*worker.take(), error=failure("last")) == b"1"
    dump = station.check()
    assert list(dump.zsets["dead"]) == [uid]
    assert uid in dump.bodies
    assert dump.hashes["errors"][uid] == failure("first") + b"\n" + failure("last")
    assert dump.counters == {"enqueued": 1, "retried": 1, "failed": 1}
    assert worker.take() == []


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_nothing(station: Station, worker: Worker, verb: str) -> None:
    assert finish(verb, worker) == b""
    assert finish(verb, worker, again=True) == b""
    assert station.all_keys() == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_thousand_are_finished_at_once(station: Station, worker: Worker, verb: str) -> None:
    names = worker.put(1000)
    leases = worker.take(1000)
    assert finish(verb, worker, *leases) == b"1" * 1000
    dump = station.check()
    place: dict[str, Any] = {
        "complete": dump.hashes["results"],
        "retry": dump.zsets["due"],
        "bury": dump.zsets["dead"],
    }
    assert set(place[verb]) == set(names)
    assert finish(verb, worker, *leases) == b"0" * 1000
    assert finish(verb, worker, *leases, again=True) == b"1" * 1000
    station.check()


@pytest.mark.parametrize("second", [*VERBS, "release", "hold"])
@pytest.mark.parametrize("first", VERBS)
def test_a_lease_is_good_for_one_finish(station: Station, worker: Worker, first: str, second: str) -> None:
    worker.put()
    (lease,) = worker.take()
    assert finish(first, worker, lease) == b"1"
    before = station.check()
    assert finish(second, worker, lease) == b"0"
    assert station.check() == before


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_lease_twice_in_a_batch_counts_once(station: Station, worker: Worker, verb: str) -> None:
    worker.put()
    (lease,) = worker.take()
    assert finish(verb, worker, lease, lease) == b"10"
    station.check()


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_a_stale_lease_changes_nothing(
    station: Station, worker: Worker, other: Worker, verb: str, *, again: bool
) -> None:
    worker.put()
    (stale,) = worker.take()
    assert worker.die_and_be_recovered(other) == (1, 0, 0)
    before = station.check()
    assert finish(verb, worker, stale, again=again) == b"0", "nobody has it"
    assert station.check() == before
    (lease,) = other.take()
    before = station.check()
    assert finish(verb, worker, stale, again=again) == b"0", "somebody else has it"
    assert station.check() == before
    assert finish(verb, other, lease, again=again) == b"1"
    before = station.check()
    assert finish(verb, worker, stale, again=again) == b"0", "somebody else has finished it"
    assert station.check() == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_worker_that_fetched_it_twice_finishes_by_its_second_lease_only(
    station: Station, worker: Worker, verb: str
) -> None:
    worker.put()
    (first,) = worker.take()
    worker.release(first)
    (second,) = worker.take()
    assert first.worker == second.worker
    assert finish(verb, worker, first, again=True) == b"0"
    assert finish(verb, worker, second) == b"1"


@pytest.mark.parametrize("verb", VERBS)
def test_of_a_batch_only_what_is_ones_own_is_finished(
    station: Station, worker: Worker, other: Worker, verb: str
) -> None:
    worker.put(3)
    leases = worker.take()
    worker.release(leases[1])
    other.take()
    assert finish(verb, worker, *leases) == b"101"
    assert set(station.check().hashes["running"]) == {leases[1].uid}


@pytest.mark.parametrize("verb", VERBS)
def test_a_finish_whose_answer_was_lost_is_said_again_and_counts_once(
    station: Station, worker: Worker, verb: str
) -> None:
    worker.put()
    (lease,) = worker.take()
    finish(verb, worker, lease)
    before = station.check()
    assert finish(verb, worker, lease, again=True) == b"1"
    assert station.check() == before


def test_a_retry_is_not_confirmed_when_the_worker_was_taken_for_dead_before_it_arrived(
    station: Station, worker: Worker, other: Worker
) -> None:
    # The crash was noted under the very same fence: that is not the retry the worker asks about.
    worker.put()
    (lease,) = worker.take()
    worker.die_and_be_recovered(other)
    assert worker.retry(lease, again=True) == b"0"
    assert "retried" not in worker.stats()


def test_a_death_by_crashes_is_not_confirmed_as_the_workers_own(
    station: Station, worker: Worker, other: Worker
) -> None:
    (uid,) = worker.put()
    for _ in range(3):
        (lease,) = worker.take()
        worker.die_and_be_recovered(other)
    assert worker.state(uid) == "dead"
    assert worker.bury(lease, again=True) == b"0"


def test_a_late_finish_is_accepted_while_nobody_else_has_the_task(station: Station, worker: Worker) -> None:
    worker.put()
    (lease,) = worker.take()
    station.advance(LEASE_OVER_MS)
    # Nobody has noticed: the work is done and true, so it counts.
    assert worker.complete(lease) == b"1"


def test_results_are_forgotten_as_others_finish(station: Station, worker: Worker) -> None:
    worker.put(10)
    worker.complete(*worker.take(10))
    station.advance(station.limits.result_ttl_ms + 1)
    left = []
    for _ in range(6):
        worker.put()
        worker.complete(*worker.take())
        left.append(len(station.check().hashes["results"]))
    assert left == [9, 8, 7, 6, 5, 6], "each pays for two, and adds one"


def test_no_more_results_are_kept_than_may_be(station: Station, worker: Worker) -> None:
    station.limit(max_results=5)
    names = worker.put(20)
    for _ in names:
        worker.complete(*worker.take(1))
        station.advance(1)
    assert set(station.check().hashes["results"]) == set(names[-5:])


def test_a_result_nobody_wants_is_not_kept(station: Station, worker: Worker) -> None:
    station.limit(result_ttl_ms=0)
    (uid,) = worker.put()
    worker.complete(*worker.take())
    assert worker.state(uid) == "unknown"
    assert station.check().hashes["results"] == {}


def test_of_many_errors_the_first_and_the_latest_are_kept(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    for n in range(25):
        (lease,) = worker.take()
        worker.retry(lease, error=failure(f"attempt {n}"))
    kept = [b"%s" % failure(f"attempt {n}") for n in (0, 1, 2, *range(18, 25))]
    kept.insert(3, b"15")
    assert station.check().hashes["errors"][uid].split(b"\n") == kept
    (lease,) = worker.take()
    assert worker.bury(lease, error=failure("the last")) == b"1"
    assert worker.bury(lease, error=failure("the last"), again=True) == b"1", "known by its last line"
    assert station.check().hashes["errors"][uid].split(b"\n") == [*kept[:3], b"16", *kept[5:], failure("the last")]


def test_an_error_too_long_to_keep_is_said_to_be(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    worker.retry(*worker.take(), error=failure("x" * 300_000))
    said = json.loads(station.check().hashes["errors"][uid])
    assert said["t"] == "ErrorTooLong"
    assert str(len(failure("x" * 300_000))) in said["m"]
    assert said["tb"] is None


def test_a_task_can_say_how_long_its_result_is_kept(station: Station, worker: Worker) -> None:
    for uid, ttl_ms in (("=short", 5_000), ("=long", station.limits.result_ttl_ms * 2), ("=none", 0)):
        worker.enqueue_with(uid, result_ttl_ms=ttl_ms)
    worker.put()
    worker.complete(*worker.take())
    dump = station.check()
    assert (set(dump.zsets["kept"]), len(dump.lists["finished"])) == ({"=short", "=long"}, 1)
    assert worker.state("=none") == "unknown"
    station.advance(5_001)
    assert (worker.state("=short"), worker.state("=long")) == ("unknown", "finished")
    worker.beat()
    assert set(station.check().zsets["kept"]) == {"=long"}
    station.advance(station.limits.result_ttl_ms)
    assert worker.state("=long") == "finished"
    station.limit(max_results=0)
    worker.beat()
    assert station.check().hashes["results"] == {}, "the number counts for all"


def test_a_cancelled_task_keeps_its_ending_as_long_as_it_said(station: Station, worker: Worker) -> None:
    worker.enqueue_with("=none", result_ttl_ms=0)
    worker.enqueue_with("=some", result_ttl_ms=1_000)
    assert worker.cancel("=none", "=some") == b"11"
    assert (worker.state("=none"), worker.state("=some")) == ("unknown", "finished")
    station.advance(1_001)
    assert worker.state("=some") == "unknown"


@pytest.mark.parametrize("says_so", ["the task", "the settings"])
def test_a_result_that_is_not_kept_still_reaches_who_waits_for_it(
    station: Station, worker: Worker, says_so: str
) -> None:
    if says_so == "the settings":
        station.limit(result_ttl_ms=0)
    uid = worker.enqueue_with("=x", result_ttl_ms=0 if says_so == "the task" else None)
    assert worker.await_end(uid) == b"w"
    worker.complete(*worker.take())
    assert worker.state(uid) == "finished"
    station.advance(10_001)
    assert worker.state(uid) == "unknown"


def test_the_three_verbs_agree_on_what_was_handed_out(station: Station, worker: Worker) -> None:
    names = worker.put(9)
    leases = worker.take(9)
    assert uids(leases) == names
    worker.complete(*leases[:3])
    worker.retry(*leases[3:6], delay_ms=1000)
    worker.bury(*leases[6:])
    stats = worker.stats()
    assert (stats["finished"], stats["due"], stats["dead"], stats["running"]) == (3, 3, 3, 0)
