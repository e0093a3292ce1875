"""What an adapter's process answers to the harness, with a peer that is a list."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.peers.adapters import speaking
from benchmarks.peers.adapters.speaking import Producer, answer, driven

if TYPE_CHECKING:
    from collections.abc import Iterable


class ListPeer:
    """An adapter whose tasks end when they are put in, but for those that are lost and those that are late."""

    SETTINGS = "None at all."
    PACKAGES = ()
    COROUTINES = False
    enqueue_many = None

    def __init__(self, lost: Iterable[int] = (), late: Iterable[int] = ()) -> None:
        self.lost, self.late = set(lost), set(late)
        self.tasks: list[tuple[str, dict[str, Any]]] = []

    async def enqueue(self, kind: str, payload: dict[str, Any], _delay_s: float) -> int:
        self.tasks.append((kind, payload))
        return len(self.tasks) - 1

    async def is_finished(self, handle: int) -> bool:
        if handle in self.late:
            self.late.discard(handle)
            return False
        return handle not in self.lost

    def workers(self, *, delays: bool) -> list[list[str]]:
        return [["work", str(delays)]]


def ask(producer: Producer, **order: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(driven(answer(producer, json.dumps(order))))
    return said


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "GRACE_S", 0.05)
    monkeypatch.setattr(speaking, "LONG_GRACE_S", 0.05)


def test_threads_share_what_is_to_be_enqueued() -> None:
    peer = ListPeer()

    said = ask(Producer(peer), do="enqueue", kind="sleep", number=21, lines=8, subject="0.1")

    assert said["number"] == 21
    assert [kind for kind, _ in peer.tasks] == ["sleep"] * 21
    assert {payload["subject"] for _, payload in peer.tasks} == {"0.1"}


def test_the_clock_stops_with_the_last_end_that_comes() -> None:
    producer = Producer(ListPeer(lost={97}))
    ask(producer, do="enqueue", kind="send_email", number=100)

    said = ask(producer, do="wait", patience_s=5.0)

    assert said["ended_s"] <= time.monotonic() - speaking.GRACE_S


def test_ends_that_come_late_or_never_are_counted() -> None:
    producer = Producer(ListPeer(lost={3}, late={5}))
    ask(producer, do="enqueue", kind="send_email", number=10)

    said = ask(producer, do="check")

    assert (said["late"], said["looked_at"]) == (2, 10)
    assert said["late_s"] > 0


def test_a_drain_that_does_not_end_is_an_error() -> None:
    producer = Producer(ListPeer(lost=set(range(100))))
    ask(producer, do="enqueue", kind="send_email", number=100)

    assert "none of the last of 100 tasks ended" in ask(producer, do="wait", patience_s=0.05)["error"]


def test_a_peer_is_described_with_how_its_worker_is_started() -> None:
    said = ask(Producer(ListPeer()), do="describe")

    assert said["settings"] == "None at all."
    assert not said["in_bulk"]
    assert said["lines"] in {"threads", "coroutines"}
    assert said["workers"] == [["work", "False"]]
