from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeAlias

import pytest

from singleton_service.background.task_queue import joint as module
from singleton_service.background.task_queue.errors import QueueUnavailableError, TaskQueueError
from singleton_service.background.task_queue.joint import MAX_BATCH_BYTES, Joint
from singleton_service.background.task_queue.protocol import Enqueued
from singleton_service.background.task_queue.requests import PreparedTask

DEADLINE_S = 10
AWAY = QueueUnavailableError("redis://here", "it is gone")

Answer: TypeAlias = Callable[[list[str]], Enqueued]


def task(uid: str, size: int = 10) -> PreparedTask:
    return PreparedTask("default", uid, b"0", b"x" * size)


def all_new(uids: list[str]) -> Enqueued:
    return Enqueued([*uids], 0)


class Server:
    """Answers one send after the other, when the test says so and how."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.given_up = 0
        self._answers: list[Answer] = []
        self._changed = threading.Condition()
        self.joint = Joint(self._send, self._count)

    def _send(self, tasks: Sequence[PreparedTask]) -> Enqueued:
        uids = [each.uid for each in tasks]
        with self._changed:
            self.sent.append(uids)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._answers, DEADLINE_S)
            answer = self._answers.pop(0)
        return answer(uids)

    def _count(self, given_up: Joint) -> None:
        assert given_up is self.joint
        self.given_up += 1

    def answer(self, *answers: Answer) -> None:
        with self._changed:
            self._answers += answers
            self._changed.notify_all()

    def wait_for_sends(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.sent) == number, DEADLINE_S), self.sent

    def wait_for_waiters(self, number: int) -> None:
        with self._changed:
            # They announce themselves to nobody.
            while len(self.joint._waiting) < number:
                self._changed.wait(0.001)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def enqueue(server: Server, threads: ThreadPoolExecutor) -> Callable[..., list[Future[Enqueued]]]:
    """Have the first task sent; the others come while it is under way."""

    def enqueue_all(*tasks: PreparedTask) -> list[Future[Enqueued]]:
        first = threads.submit(server.joint.enqueue, tasks[0])
        server.wait_for_sends(1)
        futures = [first]
        for number, each in enumerate(tasks[1:], 1):
            futures.append(threads.submit(server.joint.enqueue, each))
            server.wait_for_waiters(number)
        return futures

    return enqueue_all


Enqueue: TypeAlias = Callable[..., list[Future[Enqueued]]]


def test_who_finds_nobody_sending_sends_at_once(server: Server) -> None:
    server.answer(all_new, all_new)

    assert server.joint.enqueue(task("a")) == Enqueued(["a"], 0)
    assert server.joint.enqueue(task("b")) == Enqueued(["b"], 0)
    assert server.sent == [["a"], ["b"]]


def test_those_that_come_meanwhile_go_in_one_and_each_has_its_own_answer(server: Server, enqueue: Enqueue) -> None:
    futures = enqueue(task("a"), task("b"), task("c"), task("d"))

    server.answer(all_new, lambda uids: Enqueued([uids[0], None, "another"], 7))

    answers = [future.result(DEADLINE_S) for future in futures]
    assert answers == [Enqueued(["a"], 0), Enqueued(["b"], 7), Enqueued([None], 7), Enqueued(["another"], 7)]
    assert server.sent == [["a"], ["b", "c", "d"]]


def test_what_is_too_much_for_one_command_goes_with_the_next(server: Server, enqueue: Enqueue) -> None:
    half = MAX_BATCH_BYTES // 2
    futures = enqueue(task("a"), task("b", half), task("c", half), task("d", half))

    server.answer(all_new, all_new, all_new)

    assert [future.result(DEADLINE_S).uids for future in futures] == [["a"], ["b"], ["c"], ["d"]]
    assert server.sent == [["a"], ["b", "c"], ["d"]]


def test_what_the_server_refuses_is_sent_alone_so_that_nobody_hears_of_anothers(
    server: Server, enqueue: Enqueue
) -> None:
    def refuse(uids: list[str]) -> Enqueued:
        if "bad" in uids:
            raise TaskQueueError(f"the server refused {uids}")
        return all_new(uids)

    futures = enqueue(task("a"), task("b"), task("bad"), task("c"))
    server.answer(*[refuse] * 5)

    assert futures[1].result(DEADLINE_S) == Enqueued(["b"], 0)
    assert futures[3].result(DEADLINE_S) == Enqueued(["c"], 0)
    with pytest.raises(TaskQueueError, match=r"refused \['bad'\]"):
        futures[2].result(DEADLINE_S)
    assert sorted(server.sent[2:]) == [["b"], ["bad"], ["c"]]


def test_of_a_server_that_is_away_all_hear_at_once_and_each_has_an_error_of_its_own(
    server: Server, enqueue: Enqueue
) -> None:
    def is_away(_uids: list[str]) -> Enqueued:
        raise AWAY

    futures = enqueue(task("a"), task("b"), task("c"))
    server.answer(is_away)

    errors = [future.exception(DEADLINE_S) for future in futures]
    assert [str(error) for error in errors] == [str(AWAY)] * 3
    assert len(set(map(id, errors))) == 3
    assert server.sent == [["a"]], "those who waited are not to wait for it one after the other"

    server.answer(all_new)
    assert server.joint.enqueue(task("d")) == Enqueued(["d"], 0)


def test_a_thread_that_is_interrupted_while_it_leads_keeps_nobody(server: Server, enqueue: Enqueue) -> None:
    def interrupt(_uids: list[str]) -> Enqueued:
        raise KeyboardInterrupt

    futures = enqueue(task("a"), task("b"), task("c"), task("d"))
    server.answer(all_new, interrupt, all_new, all_new)

    wait(futures, DEADLINE_S)
    assert isinstance(futures[1].exception(), KeyboardInterrupt)
    assert [futures[at].result() for at in (0, 2, 3)] == [Enqueued([uid], 0) for uid in "acd"]

    server.answer(all_new)
    assert server.joint.enqueue(task("e")) == Enqueued(["e"], 0)


def test_when_who_leads_is_lost_the_others_go_alone_and_later_ones_have_another_joint(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT_S", 0.01)
    server.joint._lead.acquire()  # by a thread that never hands it on
    server.answer(all_new)

    assert server.joint.enqueue(task("a")) == Enqueued(["a"], 0)
    assert server.given_up == 1
