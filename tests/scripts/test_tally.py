"""What happens is counted by minute, hour, day and name, and no more of that is kept than can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.task_queue.analytics import OTHER_NAMES, summary
from singleton_service.background.task_queue.codec import encode_body
from singleton_service.background.task_queue.ids import new_uid

if TYPE_CHECKING:
    from typing import Any

    from .station import Station, Worker

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def counters(station: Station) -> dict[str, int]:
    return {name: int(value) for name, value in station.dump().hashes["counters"].items()}


def said(station: Station) -> dict[str, Any]:
    seconds, us = station.raw(b"TIME")
    return summary(counters(station), int(seconds) * 1000 + int(us) // 1000 + station.offset_ms)


def enqueue_named(worker: Worker, *names: str) -> None:
    worker.say(worker.speak.enqueue([(new_uid(1), b"0", encode_body(name, b"{}", 1, None, 3)) for name in names]))


def test_each_event_is_counted_when_it_happens(station: Station, worker: Worker) -> None:
    worker.put(6)
    done, failed, again, *_ = worker.take(4)
    worker.complete(done)
    worker.bury(failed)
    worker.retry(again, delay_ms=10**7)
    gone, _ = (uid for uid in station.dump().lists["ready:1"])
    worker.cancel(gone)
    worker.enqueue_with("=over", expires_ms=1)
    station.advance(2)
    worker.beat()
    expected = {"enqueued": 7, "completed": 1, "failed": 1, "retried": 1, "cancelled": 1, "expired": 1}
    for window in ("last_hour", "last_day"):
        assert {event: said(station)[window][event] for event in expected} == expected, window
    station.advance(HOUR_MS)
    assert said(station)["last_hour"]["enqueued"] == 0
    assert said(station)["last_day"]["enqueued"] == 7
    station.advance(DAY_MS)
    assert said(station)["last_day"]["enqueued"] == 0
    assert said(station)["successful"] == 1, "for ever"


def test_the_last_minute_is_the_last_whole_one(station: Station, worker: Worker) -> None:
    worker.put(3)
    station.advance(MINUTE_MS)
    assert said(station)["last_minute"]["enqueued"] == 3
    station.advance(MINUTE_MS)
    assert said(station)["last_minute"]["enqueued"] == 0


def test_no_more_times_are_kept_than_can_be_read(station: Station, worker: Worker) -> None:
    for _ in range(150):
        worker.put()
        worker.complete(*worker.take())
        station.advance(MINUTE_MS)
    for _ in range(60):
        worker.put()
        worker.complete(*worker.take())
        station.advance(HOUR_MS)
    worker.put()
    fields = [field for field in counters(station) if ":" in field]
    assert len([field for field in fields if field.startswith("enqueued:m")]) == 1
    assert len([field for field in fields if field.startswith("enqueued:h")]) == 23
    assert said(station)["last_day"]["enqueued"] == 24
    assert len(fields) < 24 * 9 + 300, "each task has a name of its own"


def test_how_long_they_took_and_how_many_ran_at_once_is_told(station: Station, worker: Worker) -> None:
    assert said(station)["avg_execution_time"] is None
    worker.put(4)
    station.advance(2_000)
    slow, quick = worker.take(2)
    worker.complete(quick)
    station.advance(10_000)
    worker.complete(slow)
    told = said(station)
    assert 4.9 < told["avg_execution_time"] < 8
    assert 10 <= told["max_execution_time"] < 16
    assert 2 <= told["avg_wait_time"] < 8
    assert told["peak_concurrent"] == 2


def test_who_was_to_wait_does_not_count_as_waiting(station: Station, worker: Worker) -> None:
    body = encode_body("later", b"{}", 1, None, 3, starts_later=True)
    worker.say(worker.speak.enqueue([(new_uid(1), b"+60000", body)]))
    station.advance(60_000)
    (lease,) = worker.take()
    worker.retry(lease)
    worker.take()
    assert said(station)["avg_wait_time"] is None


def test_names_are_counted_today_and_yesterday(station: Station, worker: Worker) -> None:
    enqueue_named(worker, "mail", "mail", "report:weekly")
    one, two, three = worker.take()
    worker.complete(one, three)
    worker.bury(two)
    by_name = said(station)["by_name"]
    assert (by_name["mail"]["completed"], by_name["mail"]["failed"]) == (1, 1)
    assert by_name["report:weekly"]["completed"] == 1
    assert by_name["mail"]["avg_execution_time"] < 60
    station.advance(DAY_MS)
    assert set(said(station)["by_name"]) == {"mail", "report:weekly"}
    station.advance(DAY_MS)
    assert said(station)["by_name"] == {}
    worker.put()
    assert not [field for field in counters(station) if ":d" in field], "forgotten by the next that happens"


def test_names_beyond_number_are_counted_together(station: Station, worker: Worker) -> None:
    for n in range(10):
        enqueue_named(worker, *(f"n{n}-{k}" for k in range(100)))
        worker.complete(*worker.take(100))
    assert len([field for field in counters(station) if ":d" in field]) < 310
    by_name = said(station)["by_name"]
    assert sum(one["completed"] for one in by_name.values()) == 1000
    assert by_name[OTHER_NAMES]["completed"] >= 800
