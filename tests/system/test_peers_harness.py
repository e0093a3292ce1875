"""The harness that compares task queues, with ourselves and a handful of tasks."""

from __future__ import annotations

import os

import pytest

from benchmarks.peers.contestants import CONTESTANTS, Contestant
from benchmarks.peers.measures import drained
from benchmarks.peers.session import ContestantError, Session
from singleton_service.background.engine.binary import find_server

OURS = CONTESTANTS[:2]


@pytest.fixture(autouse=True)
def _some_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Redis is not installed, the embedded server does."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{find_server().parent}")


@pytest.mark.parametrize("contestant", OURS, ids=lambda one: one.name)
def test_a_handful_of_tasks_is_enqueued_and_drained(contestant: Contestant) -> None:
    with Session(contestant) as session:
        assert session.described["settings"]
        assert session.ask("enqueue", kind="send_email", number=9, lines=4)["number"] == 9
        done = drained(session, 20)
        session.ask("one", kind="note", subject="last")
        session.ran("last")

    assert done.number == 20
    assert done.seconds > 0
    assert not done.late


def test_what_goes_wrong_with_a_contestant_is_told_with_its_own_words() -> None:
    with Session(OURS[0]) as session, pytest.raises(ContestantError, match=r"threads: one: ValueError: .*delay"):
        session.ask("one", kind="note", subject="x", delay_s=-1.0)
