"""ThreadWorker: its thread, its context, its event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from singleton_service.workers import ThreadWorker, WorkerEndingError, run_async_safely

from .crew import Told, ToldThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crew import Journal

pytestmark = pytest.mark.timeout(30)
PATIENCE_S = 10


class Gated(ThreadWorker):
    """Ends its main, and then its teardown, when the test says so."""

    def __init__(self) -> None:
        super().__init__("gated")
        self.may_return = threading.Event()
        self.is_in_teardown = threading.Event()
        self.may_end = threading.Event()

    def main(self) -> None:
        assert self.may_return.wait(PATIENCE_S)

    def teardown(self) -> None:
        self.is_in_teardown.set()
        assert self.may_end.wait(PATIENCE_S)


def test_it_is_not_running_any_more_when_its_main_has_ended() -> None:
    worker = Gated()
    worker.start()
    assert worker.is_running
    worker.may_return.set()
    assert worker.is_in_teardown.wait(PATIENCE_S)
    assert (worker.is_running, worker.is_alive) == (False, True)
    worker.may_end.set()
    assert worker.join(PATIENCE_S)
    assert not worker.is_alive


def test_a_worker_that_is_still_ending_is_not_started() -> None:
    worker = Gated()
    worker.start()
    worker.stop()
    with pytest.raises(WorkerEndingError, match="'gated' is still ending: wait for it with join") as caught:
        worker.start()
    assert pickle.loads(pickle.dumps(caught.value)).worker == "gated"
    assert not worker.join(0)
    worker.may_return.set()
    worker.may_end.set()
    assert worker.join(PATIENCE_S)


def test_what_a_hook_raises_is_logged_with_its_traceback(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    worker = ToldThread(journal, "main", "shutdown", name="clumsy")
    worker.start()
    assert worker.join(PATIENCE_S)

    told = [
        (record.levelname, record.getMessage(), record.exc_info and str(record.exc_info[1]))
        for record in caplog.records
    ]
    assert told == [
        ("ERROR", "worker 'clumsy': main failed", "no main today"),
        ("ERROR", "worker 'clumsy': lifecycle('shutdown') failed", "no shutdown today"),
    ]
    assert all(record.exc_info and record.exc_info[2] for record in caplog.records)


def test_sys_exit_returns_unless_it_says_that_something_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    class Leaver(ThreadWorker):
        code: int | None = None

        def main(self) -> None:
            sys.exit(self.code)

    worker = Leaver()
    for code, has_failed in ((None, False), (0, False), (3, True)):
        worker.code = code
        worker.start()
        assert worker.join(PATIENCE_S)
        assert worker.has_failed is has_failed
    assert [record.getMessage() for record in caplog.records] == ["worker 'Leaver': main failed"]


def test_each_life_begins_with_the_context_that_the_constructor_made() -> None:
    class Counter(ThreadWorker):
        def __init__(self) -> None:
            super().__init__()
            self.context.step = 3

        def setup(self) -> None:
            assert vars(self.context) == {"step": 3}
            self.context.total = 0

        def main(self) -> None:
            self.context.total += self.context.step

    worker = Counter()
    for _ in range(2):
        worker.start()
        assert worker.join(PATIENCE_S)
        assert worker.context == SimpleNamespace(step=3, total=3)


def test_all_coroutines_of_a_life_share_one_loop_even_through_plain_hooks() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def note() -> str:
        loops.append(asyncio.get_running_loop())
        return "noted"

    class Mixed(ThreadWorker):
        async def setup(self) -> None:
            await note()

        def main(self) -> None:
            assert run_async_safely(note()) == "noted"

        async def teardown(self) -> None:
            await note()

    worker = Mixed()
    worker.start()
    assert worker.join(PATIENCE_S)
    assert not worker.has_failed
    assert len(loops) == 3
    assert len(set(loops)) == 1
    assert loops[0].is_closed()


def test_what_setup_leaves_running_on_the_loop_goes_on_and_is_cancelled_at_the_end() -> None:
    ends: list[str] = []

    class Ticker(ThreadWorker):
        async def tick(self) -> None:
            try:
                while True:
                    await asyncio.sleep(0)
                    self.context.has_ticked.set()
            finally:
                ends.append("cancelled")

        async def setup(self) -> None:
            self.context.has_ticked = asyncio.Event()
            self.context.task = asyncio.create_task(self.tick())

        async def main(self) -> None:
            self.context.has_ticked.clear()
            await self.context.has_ticked.wait()

    worker = Ticker()
    worker.start()
    assert worker.join(PATIENCE_S)
    assert ends == ["cancelled"]


def test_a_wait_for_the_stop_ends_at_once_when_it_comes(until: Callable[..., object]) -> None:
    answers: list[bool] = []

    class Sleeper(ThreadWorker):
        def main(self) -> None:
            answers.append(self.should_stop(within=0.001))
            answers.append(self.should_stop(within=3600))

    worker = Sleeper()
    assert worker.should_stop()  # it does not run, so there is nothing to go on with
    worker.start()
    until(lambda: answers == [False])
    worker.stop()
    assert worker.join(PATIENCE_S)
    assert answers == [False, True]


def test_a_worker_stops_itself() -> None:
    class Once(ThreadWorker):
        def main(self) -> None:
            while self.is_running:
                self.stop()

    worker = Once()
    worker.start()
    assert worker.join(PATIENCE_S)
    assert not worker.has_failed


def test_a_worker_cannot_wait_for_itself() -> None:
    errors: list[str] = []

    class Circular(ThreadWorker):
        def main(self) -> None:
            try:
                self.join()
            except RuntimeError as error:
                errors.append(str(error))

    worker = Circular()
    worker.start()
    assert worker.join(PATIENCE_S)
    assert errors == ["worker 'Circular' cannot wait for its own end: just return from its main()"]


def test_a_thousand_starts_and_stops_from_many_threads_leave_it_whole(journal: Journal) -> None:
    class Light(ThreadWorker):
        lives = 0
        ends = 0

        def main(self) -> None:
            Light.lives += 1
            self.should_stop(within=PATIENCE_S)

        def teardown(self) -> None:
            Light.ends += 1

    worker = Light()

    def churn() -> None:
        for _ in range(100):
            try:
                worker.start()
            except WorkerEndingError:
                worker.join(PATIENCE_S)
            worker.stop()

    threads = [threading.Thread(target=churn) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worker.join(PATIENCE_S)
    assert worker.starts == Light.lives == Light.ends > 1


def test_a_worker_whose_thread_cannot_be_started_does_not_run(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    worker = ToldThread(journal)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            worker.start()
    assert not worker.is_alive
    assert worker.join(0)
    worker.start()
    worker.stop()
    assert worker.join(PATIENCE_S)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # from 3.12 on: that is what this is about
def test_a_forked_child_has_no_running_workers_and_can_start_its_own() -> None:
    class Idle(ThreadWorker):
        def main(self) -> None:
            self.should_stop(within=PATIENCE_S)

    worker = Idle()
    worker.start()
    child = os.fork()
    if child == 0:
        try:
            is_clean = not worker.is_alive and not worker.is_running
            worker.start()
            is_clean = is_clean and worker.is_running
            worker.stop()
            os._exit(0 if worker.join(PATIENCE_S) and is_clean else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert worker.is_running
    worker.stop()
    assert worker.join(PATIENCE_S)


def test_a_stop_from_a_signal_handler_never_waits_for_its_own_thread(journal: Journal) -> None:
    class Light(Told, ThreadWorker): ...

    worker = Light(journal)
    before = signal.signal(signal.SIGALRM, lambda *_: worker.stop())
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            worker.start()
            worker.stop()
            assert worker.join(PATIENCE_S)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_workers_say_what_they_log_under_one_name(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="singleton_service.workers"):
        worker = ToldThread(journal, "setup")
        worker.start()
        assert worker.join(PATIENCE_S)
    assert {record.name for record in caplog.records} == {"singleton_service.workers"}


def test_a_coroutine_that_does_not_end_in_time_is_cancelled_before_the_teardown(until: Callable[..., object]) -> None:
    steps: list[str] = []

    class Sleeper(ThreadWorker):
        async def main(self) -> None:
            try:
                steps.append("main")
                await asyncio.sleep(3600)
            finally:
                steps.append("main is broken off")

        async def teardown(self) -> None:
            steps.append("teardown")

        def lifecycle(self, event: str, **data: object) -> None:
            steps.extend([event, *(type(error).__name__ for error in data.values())])

    worker = Sleeper()
    worker.start()
    until(lambda: "main" in steps)
    assert not worker.join(0.01)
    assert not worker.is_alive
    assert worker.has_failed
    assert steps == ["startup", "main", "main is broken off", "error", "CancelledError", "teardown", "shutdown"]


def test_a_plain_main_in_a_thread_cannot_be_broken_off() -> None:
    worker = Gated()
    worker.start()
    assert not worker.join(0.01)
    assert worker.is_alive
    assert not worker.is_running  # it was asked, at least
    worker.may_return.set()
    worker.may_end.set()
    assert worker.join(PATIENCE_S)
    assert not worker.has_failed
