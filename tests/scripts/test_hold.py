"""hold.lua: set aside, uncounted, looked at ever more rarely, and failed when it has been too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .station import failure, uids

if TYPE_CHECKING:
    from .station import Station, Worker


def held_for_ms(station: Station, worker: Worker) -> int:
    """Take the one task there is, hold it, and return how long until the next look."""
    (lease,) = worker.take()
    assert worker.hold(lease) == b"1"
    station.check()
    next_ms = worker.fetch(0).next_ms
    assert next_ms is not None
    return next_ms


def test_a_held_task_counts_no_retry_and_shows_its_reason(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    (lease,) = worker.take()
    assert worker.hold(lease, reason="no handler|for 'x'") == b"1"
    dump = station.check()
    assert list(dump.zsets["held"]) == [uid]
    assert dump.hashes["attempts"] == {}
    state, _, detail, *_ = worker.status(uid)[0]
    assert (state, detail.split(b"|", 1)[1]) == (b"held", b"no handler|for 'x'")


def test_the_next_look_comes_later_each_time_up_to_half_a_minute(station: Station, worker: Worker) -> None:
    station.limit(unknown_task_ms=1_000_000)
    worker.put()
    waits_s = []
    for _ in range(8):
        next_ms = held_for_ms(station, worker)
        waits_s.append(round(next_ms / 1000))
        station.advance(next_ms + 1)
    assert waits_s == [1, 2, 4, 8, 16, 30, 30, 30]


def test_nothing_held_is_handed_out_before_its_next_look(station: Station, worker: Worker) -> None:
    worker.put()
    held_for_ms(station, worker)
    assert worker.take() == []
    station.advance(500)
    assert worker.take() == []
    station.advance(501)
    assert len(worker.take()) == 1


def test_a_held_task_comes_back_before_what_is_ready(station: Station, worker: Worker) -> None:
    (first,) = worker.put()
    held_for_ms(station, worker)
    second = worker.put()
    station.advance(1_001)
    assert uids(worker.take()) == [first, *second]


def test_held_too_long_it_fails_for_good_with_the_reason(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    waited_ms = 0
    while True:
        (lease,) = worker.take()
        answer = worker.hold(lease, reason="nobody knows it")
        station.check()
        if answer == b"2":
            break
        next_ms = worker.fetch(0).next_ms
        assert next_ms is not None
        station.advance(next_ms + 1)
        waited_ms += next_ms + 1
    # The last look comes at the limit, not up to 30 s after it.
    assert abs(waited_ms - station.limits.unknown_task_ms) < 1000
    dump = station.check()
    assert list(dump.zsets["dead"]) == [uid]
    assert dump.hashes["errors"][uid] == failure("nobody knows it")
    assert dump.hashes["reasons"] == {}
    assert dump.counters["failed"] == 1


def test_with_no_patience_it_fails_at_once(station: Station, worker: Worker) -> None:
    station.limit(unknown_task_ms=0)
    worker.put(2)
    assert worker.hold(*worker.take()) == b"22"
    assert len(station.check().zsets["dead"]) == 2


def test_what_waits_for_an_upgrade_is_held_for_ever(station: Station, worker: Worker) -> None:
    station.limit(unknown_task_ms=0)
    (uid,) = worker.put()
    for _ in range(3):
        (lease,) = worker.take()
        assert worker.hold(lease, for_ever=True) == b"1"
        station.check()
        station.advance(30_001)
    assert uids(worker.take()) == [uid]


def test_a_task_that_ran_in_between_has_all_its_time_again(station: Station, worker: Worker) -> None:
    worker.put()
    held_for_ms(station, worker)
    station.advance(station.limits.unknown_task_ms // 2)
    # A worker that knows it runs it; it fails, and is due long after.
    worker.retry(*worker.take(), delay_ms=station.limits.unknown_task_ms)
    station.advance(station.limits.unknown_task_ms + 1)
    (lease,) = worker.take()
    assert worker.hold(lease) == b"1", "the first hold is forgotten"


def test_a_stale_lease_holds_nothing(station: Station, worker: Worker, other: Worker) -> None:
    worker.put(2)
    leases = worker.take()
    worker.release(leases[0])
    other.take()
    assert worker.hold(*leases) == b"01"
    assert worker.hold(*leases) == b"00"
    assert worker.hold() == b""
    station.check()


def test_a_thousand_are_held_at_once(station: Station, worker: Worker) -> None:
    worker.put(1000)
    assert worker.hold(*worker.take(1000)) == b"1" * 1000
    station.check()


def test_a_hold_wakes_somebody_who_then_knows_when_to_look(station: Station, worker: Worker) -> None:
    worker.put()
    (lease,) = worker.take()
    assert station.check().lists["wake"] == []
    worker.hold(lease)
    assert station.check().lists["wake"] == ["1"]


def test_a_held_suspect_is_a_suspect_still(station: Station, worker: Worker, other: Worker) -> None:
    (uid,) = worker.put()
    for _ in range(2):
        worker.take()
        worker.die_and_be_recovered(other)
    (lease,) = worker.take()
    assert lease.is_suspect
    worker.hold(lease)
    station.advance(1_001)
    worker.fetch(0)
    assert station.check().lists["suspects"] == [uid]


def test_a_task_that_was_held_may_still_fail_or_complete(station: Station, worker: Worker) -> None:
    worker.put(2)
    worker.hold(*worker.take())
    station.advance(1_001)
    first, second = worker.take()
    assert worker.bury(first) == b"1"
    assert worker.complete(second) == b"1"
    assert station.check().hashes["reasons"] == {}
