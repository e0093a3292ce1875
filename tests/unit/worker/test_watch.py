"""A pool thread that sleeps in the dispatcher's place."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.worker.job import Job
from singleton_service.background.worker.pool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singleton_service.background.worker.seat import Seat


class Execution:
    """Runs a job by noting its thread, and waiting until it may end."""

    def __init__(self) -> None:
        self.threads: dict[Job, threading.Thread] = {}
        self.may_end = threading.Event()

    def run(self, job: Job, _seat: Seat) -> None:
        self.threads[job] = threading.current_thread()
        assert self.may_end.wait(10)


class Pool:
    """Two threads, and all that they have done."""

    def __init__(self) -> None:
        self.execution, self.done = Execution(), deque[Job]()
        execution: Any = self.execution
        self.threads = ThreadPool(2, execution, self.done, lambda: None, grace_s=1.0)
        self.threads.start()


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.execution.may_end.set()
    pool.threads.close()
    pool.threads.join(10)


def a_job() -> Job:
    lease: Any = None
    return Job(lease, is_marked=False)


def test_the_first_job_is_run_by_who_keeps_watch_and_the_next_by_another(pool: Pool, until: Any) -> None:
    first, second = a_job(), a_job()

    def sleep() -> threading.Thread:
        pool.threads.submit(first)
        pool.threads.submit(second)
        return threading.current_thread()

    # It returns while both still run.
    watchman = pool.threads.watch(sleep)
    until(lambda: len(pool.execution.threads) == 2)
    assert pool.execution.threads[first] is watchman
    assert pool.execution.threads[second] is not watchman
    pool.execution.may_end.set()
    until(lambda: len(pool.done) == 2)


def test_who_was_woken_by_nothing_is_free_again(pool: Pool, until: Any) -> None:
    pool.execution.may_end.set()
    assert [pool.threads.watch(lambda: "nothing") for _ in range(5)] == ["nothing"] * 5
    after = a_job()
    pool.threads.submit(after)
    until(lambda: list(pool.done) == [after])
    assert len(pool.threads.alive()) == 2


def test_what_goes_wrong_in_a_sleep_is_raised_to_whom_it_was_slept_for(pool: Pool, until: Any) -> None:
    job = a_job()
    pool.execution.may_end.set()

    def sleep() -> None:
        pool.threads.submit(job)
        raise ConnectionError("lost")

    with pytest.raises(ConnectionError, match="lost"):
        pool.threads.watch(sleep)
    # What was submitted runs all the same.
    until(lambda: list(pool.done) == [job])
    assert len(pool.threads.alive()) == 2
