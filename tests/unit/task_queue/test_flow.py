"""Batches that follow one another on one connection: whatever becomes of an answer, none is taken for another's."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue.errors import QueueUnavailableError, TaskQueueError
from singleton_service.background.task_queue.flow import Flow
from singleton_service.background.task_queue.outage import Outage
from singleton_service.background.task_queue.protocol import Enqueued
from singleton_service.background.task_queue.requests import PreparedTask

if TYPE_CHECKING:
    from collections.abc import Sequence

AWAY = QueueUnavailableError("redis://here", "it is gone")
REFUSED = TaskQueueError("no")


class Line:
    """A link, and the server behind it: it answers each command with its name, or as it was told."""

    is_outlived = False

    def __init__(self, **answers: Exception) -> None:
        self.openings = 0
        self.log: list[str] = []
        self._answers = answers
        self._due: deque[str] = deque()
        self._is_open = False

    def post(self, commands: Sequence[Any]) -> None:
        (name,) = commands
        if not self._is_open:
            self._is_open, self.openings = True, self.openings + 1
        self._due.append(name)
        self.log.append(f"send {name}")

    def receive(self, *, is_due: bool) -> str:
        assert is_due
        if not self._due:
            raise AWAY
        name = self._due.popleft()
        self.log.append(f"answer {name}")
        if isinstance(answer := self._answers.get(name, name), Exception):
            if answer is AWAY:
                self.close()
            raise answer
        return answer

    def close(self) -> None:
        if self._is_open:
            self.log.append("close")
        self._is_open = False
        self._due.clear()


def batch(name: str, queue: str = "known") -> list[PreparedTask]:
    return [PreparedTask(queue, name, b"0", b"x")]


def flow_on(line: Line) -> Flow:
    protocol = SimpleNamespace(
        enqueue=lambda items: items[0][0], enqueued=lambda reply, uids: Enqueued([*uids], 0) if reply in uids else None
    )
    client: Any = SimpleNamespace(
        link=line, outage=Outage(), is_registered=lambda queue: queue == "known", protocol=lambda _queue: protocol
    )
    return Flow(client)


def became_of(line: Line, *batches: list[PreparedTask]) -> dict[str, bool]:
    """Return for each batch, in the order they were told of, whether it went in."""
    told = {}
    for sent, enqueued in flow_on(line).send(batches):
        if enqueued is None:
            assert not line._due, "whoever is told to send it again may use the link"
        told[sent[0].uid] = enqueued is not None
    return told


def test_the_next_is_sent_before_the_answer_to_the_one_before_is_waited_for() -> None:
    line = Line()
    assert became_of(line, *map(batch, "abcd")) == dict.fromkeys("abcd", True)
    assert line.log == [
        *("send a", "send b", "send c", "answer a", "send d", "answer b"),
        *("answer c", "answer d"),
    ]


def test_of_a_refused_one_the_caller_hears_once_nothing_is_under_way() -> None:
    line = Line(b=REFUSED)
    assert list(became_of(line, *map(batch, "abcd")).items()) == [("a", True), ("c", True), ("d", True), ("b", False)]


def test_all_that_were_under_way_on_a_connection_that_broke_are_to_be_sent_again() -> None:
    line = Line(b=AWAY)
    assert became_of(line, *map(batch, "abcde")) == {"a": True, "b": False, "c": False, "d": False, "e": True}


def test_an_answer_on_another_connection_is_not_taken_for_one_that_was_lost() -> None:
    line = Line()
    told = flow_on(line).send(map(batch, "abcdef"))
    assert next(told) == (batch("a"), Enqueued(["a"], 0))
    line.close()  # as the end of the service does, in another thread
    assert {sent[0].uid: enqueued is not None for sent, enqueued in told} == {
        "b": False,
        "c": False,
        "d": False,
        "e": True,
        "f": True,
    }


def test_a_queue_that_is_not_known_yet_is_left_to_the_caller() -> None:
    line = Line()
    assert became_of(line, batch("a"), batch("new", "unknown"), batch("b")) == {"a": True, "new": False, "b": True}
    assert line.log == ["send a", "answer a", "send b", "answer b"]


def test_who_gives_up_amid_them_leaves_no_answer_behind() -> None:
    line = Line()
    told = flow_on(line).send(map(batch, "abcd"))
    next(told)
    told.close()
    assert line.log[-1] == "close"


def test_an_interruption_amid_them_leaves_no_answer_behind() -> None:
    class Interrupted(Line):
        def receive(self, *, is_due: bool) -> str:
            super().receive(is_due=is_due)
            raise KeyboardInterrupt

    line = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        next(flow_on(line).send(map(batch, "ab")))
    assert line.log[-1] == "close"
