"""What a server may do at any time: forget all scripts. And what it may never see: keys of one queue in two slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from singleton_service.background.task_queue.errors import TaskQueueError

from .invariants import check_drained
from .station import uids

if TYPE_CHECKING:
    from .station import Station, Worker


def test_a_pipeline_whose_scripts_are_forgotten_runs_each_command_once(station: Station, worker: Worker) -> None:
    names = worker.put(4)
    leases = worker.take(2)
    speak = worker.speak
    station.raw(b"SCRIPT", b"FLUSH")
    completed, beat, fetched = station.link.run(
        [
            speak.complete([(lease, b"10|w|0||null") for lease in leases]),
            speak.heartbeat(),
            speak.fetch(5, 5),
        ]
    )
    assert completed == b"11"
    # What is known goes first: only what had not run is sent again, after the rest.
    assert speak.beaten(beat).owned <= 2
    assert uids(speak.fetched(fetched).leases) == names[2:]
    assert worker.stats()["total_completed"] == 2


def test_a_cache_that_lost_some_scripts_repeats_only_those(station: Station, worker: Worker) -> None:
    worker.put(2)
    (lease, _) = worker.take(2)
    speak = worker.speak
    station.raw(b"SCRIPT", b"FLUSH")
    worker.stats()
    stats, released, again = station.link.run([speak.stats(), speak.release([lease]), speak.stats()])
    assert released == b"1"
    assert speak.counted(stats)["running"] == 2
    # Known scripts ran in their turn, the forgotten one after them.
    assert speak.counted(again)["running"] == 2
    assert worker.stats()["ready"] == 1


@pytest.mark.parametrize("flushes", [1, 2])
def test_a_life_goes_well_with_a_flush_before_every_step(station: Station, worker: Worker, flushes: int) -> None:
    def forget() -> None:
        for _ in range(flushes):
            station.raw(b"SCRIPT", b"FLUSH")

    forget()
    worker.put(2)
    forget()
    first, second = worker.take()
    forget()
    assert worker.retry(first) == b"1"
    forget()
    assert worker.release(second) == b"1"
    forget()
    leases = worker.take()
    forget()
    assert worker.complete(*leases) == b"11"
    forget()
    worker.take()
    check_drained(station.check())


def test_a_refused_command_does_not_shift_the_answers_of_the_next(station: Station, worker: Worker) -> None:
    worker.put(1)
    with pytest.raises(TaskQueueError, match="WRONGTYPE"):
        station.link.run([(b"LPUSH", station.key("counters"), b"x"), worker.speak.stats()])
    assert worker.stats()["ready"] == 1


@pytest.mark.parametrize("queue", ["q", "default", "a.b-c_D", "x" * 64])
def test_all_keys_of_a_queue_share_one_slot(station: Station, queue: str) -> None:
    station.queue = queue
    worker, other = station.worker("host:1:abc"), station.worker("host:2:def")
    worker.put(6)
    worker.put(when=b"+5000")
    worker.say(worker.speak.enqueue([("=mine", b"0", b"1103|x\n{}")]))
    leases = worker.take(5)
    other.take(1)
    worker.complete(leases[0])
    worker.bury(leases[1])
    worker.hold(leases[2])
    worker.await_end(leases[3].uid)
    keys = station.all_keys()
    assert len(keys) >= 15
    assert len({key_slot(key) for key in keys}) == 1
    # A cluster looks at the keys a command names.
    for command in (worker.speak.recover("host:2:def", b""), worker.speak.fetch(1, 1), worker.speak.leave()):
        assert isinstance(command[2], int)
        assert len({key_slot(key) for key in command[3 : 3 + command[2]] if isinstance(key, bytes)}) == 1


def test_two_namespaces_on_one_server_share_nothing(station: Station, worker: Worker) -> None:
    worker.put(3)
    neighbour = type(station)(station.engine, station.namespace + "x")
    assert neighbour.worker().take() == []
    assert neighbour.worker().stats()["ready"] == 0
    neighbour.erase()
    neighbour.close()
