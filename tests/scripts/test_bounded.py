"""A queue that ran many tasks holds no more than one that ran few: every key has the same number of entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .station import Station, failure

if TYPE_CHECKING:
    from singleton_service.background.engine import Engine

FEW, TIMES = 3000, 10
BULK = 1000
DAY_MS = 24 * 3600 * 1000


def live(station: Station, tasks: int) -> None:
    """Run so many tasks, as they come: most complete, some are retried, fail, are cancelled or expire."""
    station.limit(max_results=100, max_failed=50)
    for n in range(tasks // BULK):
        worker = station.worker(f"w{n % 3}")
        uids = worker.put(BULK - 1)
        worker.enqueue_with(f"=single-{n % 2}", unique="key", expires_ms=1_000, result_ttl_ms=2_000, when=b"+500")
        worker.cancel(*uids[:100])
        leases = worker.take(BULK)
        worker.retry(*leases[:50], error=failure("once"))
        worker.hold(*leases[50:60])
        worker.bury(*leases[60:200])
        worker.complete(*leases[200:])
        station.advance(2_500)
        worker.complete(*worker.take(BULK))
        worker.beat()
    last = station.worker("last")
    for name in ("w0", "w1", "w2"):
        station.worker(name).leave()
    # What was counted by the minute, the hour and the day is forgotten as the next of its kind is counted.
    station.advance(3 * DAY_MS)
    while leases := last.take(BULK):
        last.complete(*leases)
    last.put(200)
    last.complete(*last.take(100))
    last.bury(*last.take(60))
    last.retry(*last.take(1))
    last.cancel(*last.put(1))
    last.enqueue_with("=over", expires_ms=1)
    station.advance(2)
    while leases := last.take(BULK):
        last.complete(*leases)
    for _ in range(3):
        last.beat()


def sizes(station: Station) -> dict[str, tuple[int, int]]:
    """Return entries and bytes of each key."""
    found: dict[str, tuple[int, int]] = {}
    for key in station.all_keys():
        kind = station.raw(b"TYPE", key)
        count: Any = {b"hash": b"HLEN", b"zset": b"ZCARD", b"list": b"LLEN", b"string": b"STRLEN"}[kind]
        name = key.decode().rpartition("}:")[2]
        # Shelves are named by the time; they and `body` are one table in many.
        name = "body" if name.startswith("body:") else name
        entries, size = found.get(name, (0, 0))
        usage: Any = station.raw(b"MEMORY", b"USAGE", key, b"SAMPLES", 0)
        found[name] = (entries + station.raw(count, key), size + usage)
    return found


@pytest.mark.timeout(120)
def test_a_queue_that_ran_many_tasks_holds_no_more_than_one_that_ran_few(engine: Engine) -> None:
    measured = []
    for tasks in (FEW, FEW * TIMES):
        station = Station(engine, f"bounded-{tasks}")
        station.erase()
        try:
            live(station, tasks)
            station.check()
            measured.append(sizes(station))
        finally:
            station.erase()
            station.close()
    few, many = measured
    # A minute may have gone by between two counts. Here each task has a name of its own.
    assert max(few.pop("counters")[0], many.pop("counters")[0]) < 400
    assert {name: many[name][0] for name in many} == {name: few[name][0] for name in few}
    assert few["results"][0] == 100
    assert few["dead"][0] == 50
    for name, (_, size) in many.items():
        assert size <= 1.2 * few[name][1] + 200, name
