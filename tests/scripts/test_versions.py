"""A queue that a newer version has made its own: enqueue and fetch change nothing in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue import ProtocolVersionError
from singleton_service.background.task_queue.protocol import PROTOCOL_VERSION

if TYPE_CHECKING:
    from .station import Station, Worker


def test_a_newer_number_in_the_settings_stops_older_clients_before_they_write(station: Station, worker: Worker) -> None:
    (uid,) = worker.put()
    station.raw(b"HSET", station.key("settings"), b"protocol", PROTOCOL_VERSION + 1)
    before = station.dump()
    for attempt in (worker.put, worker.take, lambda: worker.enqueue(uid)):
        with pytest.raises(ProtocolVersionError) as caught:
            attempt()
        assert caught.value.found == PROTOCOL_VERSION + 1
        assert station.dump() == before


@pytest.mark.parametrize("number", [PROTOCOL_VERSION, PROTOCOL_VERSION - 1])
def test_the_same_number_or_an_older_one_stops_nobody(station: Station, worker: Worker, number: int) -> None:
    station.raw(b"HSET", station.key("settings"), b"protocol", number)
    worker.put()
    assert len(worker.take()) == 1
    station.check()
