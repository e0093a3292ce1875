"""Server: several workers, started, kept alive and ended together."""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from singleton_service.workers import Server, ThreadWorker, WorkerArgumentError, _joining
from singleton_service.workers._supervisor import Backoff

from . import crew
from .crew import Doing, Doubler, ToldProcess, ToldThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from .crew import Journal

pytestmark = pytest.mark.timeout(60)
PATIENCE_S = 30


class Failing(ThreadWorker):
    """Fails in its first lives."""

    def __init__(self, failures: int) -> None:
        super().__init__("failing")
        self.failures = failures

    def main(self) -> None:
        if self.starts <= self.failures:
            raise ValueError(f"life {self.starts}")
        self.should_stop(within=PATIENCE_S)


class Stubborn(ThreadWorker):
    """Ends its main when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = threading.Event()

    def main(self) -> None:
        assert self.may_end.wait(PATIENCE_S)


def end(server: Server) -> None:
    server.stop()
    assert server.join_all(PATIENCE_S)


def test_it_starts_stops_and_joins_all_and_can_do_so_again(journal: Journal, until: Callable[..., Any]) -> None:
    server = Server("pair")
    workers = (ToldThread(journal, name="one"), ToldProcess(journal, name="two"))
    for worker in workers:
        server.add_worker(worker)
    assert server.workers == workers
    for life in (1, 2):
        server.start()
        server.start()
        until(journal.has("main", 2 * life), PATIENCE_S)
        assert all(worker.is_running for worker in workers)
        server.stop()
        server.stop()
        assert server.join_all(PATIENCE_S)
        assert not any(worker.is_alive for worker in workers)
    assert journal.lines.count("teardown") == 4


def test_a_killed_process_comes_back_with_its_arguments(journal: Journal, until: Callable[..., Any]) -> None:
    server = Server(first_restart_s=0.01)
    worker = ToldProcess(journal, name="phoenix")
    server.add_worker(worker)
    server.start()
    for life in (1, 2):
        until(journal.has("main", life), PATIENCE_S)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
    until(journal.has("main", 3), PATIENCE_S)
    assert (worker.starts, worker.is_running) == (3, True)
    end(server)
    assert journal.lines == [*2 * ["setup", "startup", "main"], "setup", "startup", "main", "teardown", "shutdown"]


def test_a_worker_that_fails_is_started_again_ever_later(
    until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server = Server(first_restart_s=0.01, longest_restart_s=0.03)
    worker = Failing(failures=4)
    server.add_worker(worker)
    server.start()
    until(lambda: worker.starts == 5)
    end(server)
    said = [message for message in caplog.messages if "died" in message]
    assert said == [
        f"worker 'failing' died: main raised ValueError('life {life}'); starting it again in {delay_s} s"
        for life, delay_s in enumerate(("0.01", "0.02", "0.03", "0.03"), start=1)
    ]


@given(
    first_s=st.floats(0.001, 10),
    factor=st.floats(1, 1000),
    lives_s=st.lists(st.floats(0, 1e6), min_size=1, max_size=50),
)
def test_delays_double_up_to_the_longest_and_begin_anew_after_a_long_life(
    first_s: float, factor: float, lives_s: list[float]
) -> None:
    longest_s = first_s * factor
    backoff = Backoff(first_s, longest_s)
    before_s = 0.0
    for lived_s in lives_s:
        delay_s = backoff.after(lived_s)
        is_new = not before_s or lived_s >= longest_s
        assert delay_s == (first_s if is_new else min(2 * before_s, longest_s))
        before_s = delay_s


def test_who_returned_or_was_told_to_stop_is_left_alone(journal: Journal, until: Callable[..., Any]) -> None:
    class Once(ThreadWorker):
        def main(self) -> None: ...

    class LateFailure(ThreadWorker):
        def main(self) -> None:
            self.should_stop(within=PATIENCE_S)
            raise ValueError("too late to matter")

    server = Server(first_restart_s=0.001)
    once, late, failing = Once(), LateFailure(), Failing(failures=3)
    for worker in (once, late, failing):
        server.add_worker(worker)
    server.start()
    late.stop()
    until(lambda: failing.starts == 4)  # that long the others had the chance to come back, too
    assert (once.starts, late.starts) == (1, 1)
    assert late.join(PATIENCE_S)
    end(server)


def test_a_restart_that_is_due_does_not_come_after_the_stop(until: Callable[..., Any]) -> None:
    server = Server(first_restart_s=0.02)
    worker = Failing(failures=99)
    server.add_worker(worker)
    for _ in range(20):
        server.start()
        until(lambda: worker.has_failed)
        end(server)
        assert not worker.is_alive
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("Server")]


def test_who_is_told_to_stop_before_its_restart_is_due_is_left_alone(until: Callable[..., Any]) -> None:
    server = Server(first_restart_s=0.5)
    worker = Failing(failures=99)
    server.add_worker(worker)
    server.start()
    until(lambda: worker.has_failed)
    worker.stop()
    supervisor = server._supervisor
    assert supervisor is not None
    until(lambda: supervisor.has_settled(worker))
    assert worker.starts == 1
    end(server)


def test_it_runs_on_for_a_worker_that_is_to_be_started_again() -> None:
    class Once(ThreadWorker):
        def main(self) -> None: ...

    class SecondTime(ThreadWorker):
        def main(self) -> None:
            if self.starts == 1:
                raise ValueError("not at once")

    for _ in range(50):  # who ends first, and is looked at first, is left to chance
        server = Server(first_restart_s=0.001)
        workers = [SecondTime(), Once(), SecondTime()]
        for worker in workers:
            server.add_worker(worker)
        assert server.run_forever()
        assert [worker.starts for worker in workers] == [2, 1, 2]


def test_a_worker_that_cannot_be_started_again_is_tried_again(
    journal: Journal, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Failing(failures=1)
    start, calls = worker.start, []

    def refuse_twice() -> None:
        calls.append(worker.starts)
        if len(calls) in {2, 3}:
            raise OSError("no more processes")
        start()

    monkeypatch.setattr(worker, "start", refuse_twice)
    server = Server(first_restart_s=0.01)
    server.add_worker(worker)
    server.start()
    until(lambda: worker.starts == 2)
    end(server)
    assert calls == [0, 1, 1, 1]
    refusals = [message for message in caplog.messages if "no more processes" in message]
    assert refusals == [
        f"worker 'failing' could not be started again: no more processes; starting it again in {delay_s} s"
        for delay_s in ("0.02", "0.04")
    ]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # from 3.12 on: that is what this is about
def test_a_forked_child_can_start_it_and_there_it_restarts_who_dies() -> None:
    parent = os.getpid()

    class Fails(ThreadWorker):
        def main(self) -> None:
            if os.getpid() != parent and self.starts == 2:
                raise ValueError("no luck in the child's first life")
            self.should_stop(within=PATIENCE_S)

    worker = Fails()
    server = Server(first_restart_s=0.01)
    server.add_worker(worker)
    server.start()
    child = os.fork()
    if child == 0:
        try:
            logging.disable()
            server.start()
            deadline = time.monotonic() + PATIENCE_S
            while worker.starts < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            server.stop()
            os._exit(0 if server.join_all(PATIENCE_S) and worker.starts == 3 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert worker.is_running
    server.stop()
    assert server.join_all(PATIENCE_S)


def test_the_timeout_is_shared_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now_s=100.0)
    waits_s: list[float] = []

    class Slow(ThreadWorker):
        def main(self) -> None:
            self.should_stop(within=PATIENCE_S)

    class SlowEnd(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            waits_s.append(timeout)
            clock.now_s += 2
            return super().wait(PATIENCE_S)

    server = Server()
    for _ in range(4):
        server.add_worker(Slow())
    server.start()
    for worker in server.workers:
        assert worker._life is not None
        worker._life.ended = SlowEnd()
    monkeypatch.setattr(_joining, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    server.stop()
    assert server.join_all(5)
    assert waits_s == [5, 3, 1, 0]


def test_who_does_not_end_in_time_is_ended_where_that_is_possible(journal: Journal, until: Callable[..., Any]) -> None:
    server = Server()
    threads = [Stubborn() for _ in range(3)]
    deaf = [Doing(journal, crew.sleep_on) for _ in range(2)]
    for worker in (*threads, *deaf):
        server.add_worker(worker)
    server.start()
    until(lambda: len(journal.lines) == 4, PATIENCE_S)
    server.stop()
    assert not server.join_all(0.01)
    assert not any(worker.is_alive for worker in deaf)
    assert journal.lines.count("teardown") == 2
    assert all(worker.is_alive for worker in threads)
    for worker in threads:
        worker.may_end.set()
    assert server.join_all(PATIENCE_S)


def test_a_worker_added_while_it_runs_is_started_at_once(journal: Journal, until: Callable[..., Any]) -> None:
    server = Server()
    server.start()
    server.add_worker(ToldThread(journal))
    until(journal.has("main"))
    end(server)


def test_only_workers_are_added_and_each_once(journal: Journal) -> None:
    server = Server()
    with pytest.raises(TypeError, match="is not a worker"):
        server.add_worker(ToldThread)  # type: ignore[arg-type]
    worker = ToldThread(journal)
    server.add_worker(worker)
    for other in (server, Server()):
        with pytest.raises(ValueError, match="belongs to a server already"):
            other.add_worker(worker)


@pytest.mark.parametrize(("first", "longest"), [(0, 1), (-1, 1), (2, 1), (1, float("inf")), (float("nan"), 1)])
def test_delays_that_make_no_sense_are_refused(first: float, longest: float) -> None:
    with pytest.raises(ValueError, match="must be positive numbers of seconds"):
        Server(first_restart_s=first, longest_restart_s=longest)


def test_a_start_that_fails_stops_who_was_started(journal: Journal) -> None:
    server = Server()
    first = ToldThread(journal)
    server.add_worker(first)
    server.add_worker(Doubler(queue.Queue(), doubled=queue.Queue()))  # type: ignore[arg-type]
    with pytest.raises(WorkerArgumentError):
        server.start()
    assert not first.is_running
    assert server.join_all(PATIENCE_S)


def test_it_runs_until_told_to_stop_by_a_method_in_a_thread_where_no_signals_are(
    journal: Journal, until: Callable[..., Any], in_thread: Callable[[Callable[[], Any]], Thread]
) -> None:
    server = Server()
    server.add_worker(ToldThread(journal))
    before = signal.getsignal(signal.SIGTERM)
    outcomes: list[bool] = []
    thread = in_thread(lambda: outcomes.append(server.run_forever(PATIENCE_S)))
    until(journal.has("main"))
    assert signal.getsignal(signal.SIGTERM) is before
    server.stop()
    thread.join(PATIENCE_S)
    assert outcomes == [True]
    assert journal.lines[-1] == "shutdown"


def test_it_runs_no_longer_than_there_is_a_worker_to_run() -> None:
    class Once(ThreadWorker):
        def main(self) -> None: ...

    server = Server()
    assert server.run_forever()
    for _ in range(3):
        server.add_worker(Once())
    assert server.run_forever()
    assert [worker.starts for worker in server.workers] == [1, 1, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_the_hosts_handlers_are_put_back(number: signal.Signals, journal: Journal) -> None:
    def of_the_host(*_: object) -> None:
        raise AssertionError("not while the server runs")

    class Caller(ThreadWorker):
        def main(self) -> None:
            os.kill(os.getpid(), number)
            self.should_stop(within=PATIENCE_S)

    before = signal.signal(number, of_the_host)
    try:
        server = Server()
        server.add_worker(Caller())
        server.add_worker(ToldProcess(journal))
        assert server.run_forever(PATIENCE_S)
        assert signal.getsignal(number) is of_the_host
    finally:
        signal.signal(number, before)
    assert journal.lines[-2:] == ["teardown", "shutdown"]


def test_a_second_signal_leaves_at_once(journal: Journal, until: Callable[..., Any]) -> None:
    stubborn, deaf = Stubborn(), Doing(journal, crew.swallow_everything)

    class Caller(ThreadWorker):
        def main(self) -> None:
            until(journal.has("main"), PATIENCE_S)
            os.kill(os.getpid(), signal.SIGTERM)
            until(lambda: not stubborn.is_running)
            os.kill(os.getpid(), signal.SIGTERM)

    server = Server()
    for worker in (stubborn, deaf, Caller()):
        server.add_worker(worker)
    assert not server.run_forever(timeout=3600)
    assert stubborn.is_alive
    until(lambda: not deaf.is_alive)
    assert journal.lines == ["startup", "main"]
    stubborn.may_end.set()
    assert server.join_all(PATIENCE_S)
