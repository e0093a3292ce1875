"""A handler is interrupted where it sits, and nowhere else."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskInterrupted
from singleton_service.background.task_queue.lease import Lease
from singleton_service.background.worker.job import Job
from singleton_service.background.worker.seat import Order, Seat
from singleton_service.background.worker.time_limits import TimeLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30.0


def job_with(limit_s: float | None = None) -> Job:
    job = Job(Lease("default", "=x", 1, "w", b"1|w", b"", 0, 0), is_marked=True)
    if limit_s is not None:
        job.deadline = time.monotonic() + limit_s
    return job


@pytest.fixture
def given_up() -> list[tuple[Seat, Job]]:
    return []


@pytest.fixture
def grace_s() -> float:
    """On a busy machine an interrupted thread may not get to run for long; that is no stubbornness."""
    return PATIENCE_S


@pytest.fixture
def limits(grace_s: float, given_up: list[tuple[Seat, Job]]) -> Iterator[TimeLimits]:
    limits = TimeLimits(grace_s, lambda seat, job: given_up.append((seat, job)))
    yield limits
    limits.stop()
    assert "worker-time-limits" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def switching_often() -> Iterator[None]:
    """Have threads meet in the middle of things."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval_s)


def seat_in(limits: TimeLimits) -> Seat:
    seat = Seat(limits.expect)
    limits.add(seat)
    return seat


def spin(_payload: object) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at:
        pass
    raise AssertionError("nobody interrupted it")


def test_a_handler_that_runs_too_long_is_interrupted(limits: TimeLimits) -> None:
    job = job_with(0.02)
    with pytest.raises(TaskInterrupted):
        seat_in(limits).call(job, spin, None)
    assert job.order is Order.TIME_LIMIT


def test_the_earliest_limit_counts_whoever_began_first(limits: TimeLimits) -> None:
    first, second = job_with(PATIENCE_S), job_with(0.02)
    outcomes: dict[str, bool] = {}
    is_over = threading.Event()

    def patient() -> None:
        outcomes["patient"] = seat_in(limits).call(first, lambda _: is_over.wait(PATIENCE_S), None)

    thread = threading.Thread(target=patient)
    thread.start()
    with pytest.raises(TaskInterrupted):
        seat_in(limits).call(second, spin, None)
    is_over.set()
    thread.join()
    assert outcomes == {"patient": True}


def test_ten_thousand_handlers_interrupted_as_they_return_hurt_nobody_else(
    limits: TimeLimits, given_up: list[tuple[Seat, Job]], switching_often: None
) -> None:
    counts = {"returned": 0, "interrupted": 0}
    troubles: list[BaseException] = []
    lock = threading.Lock()

    def work(calls: int) -> None:
        seat = seat_in(limits)
        returned = interrupted = 0
        margin_s, in_a_row = 0.0, 0
        try:
            for _ in range(calls):
                job = job_with(0.00005)
                try:
                    value = seat.call(job, _until, job.deadline + margin_s)
                except TaskInterrupted:
                    interrupted += 1
                    in_a_row = min(in_a_row, 0) - 1
                else:
                    assert value == "done"
                    returned += 1
                    in_a_row = max(in_a_row, 0) + 1
                # Next time end a little earlier or later, and more so the longer it goes the same way: on a busy
                # machine, too, the two soon meet, and are about as likely from then on.
                margin_s += 2e-6 * in_a_row
                assert margin_s < 1, "nobody is interrupted any more"
                # An innocent one, without a limit: what was meant for the one before must not reach it.
                assert seat.call(job_with(), lambda number: sum(range(number)), 50) == 1225
        except BaseException as error:
            troubles.append(error)
        with lock:
            counts["returned"] += returned
            counts["interrupted"] += interrupted

    threads = [threading.Thread(target=work, args=(5000,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not troubles
    assert not given_up
    assert sum(counts.values()) == 10_000
    assert min(counts.values()) > 1000, counts  # both sides of the race were met


def _until(ends_at: float) -> str:
    while time.monotonic() < ends_at:
        pass
    return "done"


def test_a_handler_interrupted_while_it_logs_leaves_no_lock_behind(switching_often: None, limits: TimeLimits) -> None:
    log = logging.Logger("of a test")  # noqa: LOG001 - it shall be forgotten with the test
    handler = logging.StreamHandler(io.StringIO())
    log.addHandler(handler)
    interrupted = 0

    def log_on(_payload: object) -> None:
        ends_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends_at:
            log.info("still at it")
            logging.getLogger("another of a test")

    def work() -> None:
        nonlocal interrupted
        seat = seat_in(limits)
        for _ in range(300):
            with pytest.raises(TaskInterrupted):
                seat.call(job_with(0.0005), log_on, {})
            interrupted += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(2 * PATIENCE_S)
    assert interrupted == 300
    for lock in (handler.lock, logging._lock):  # type: ignore[attr-defined]
        assert lock is not None
        assert lock.acquire(timeout=PATIENCE_S), "held by a thread that is gone"
        lock.release()


def test_after_an_interruption_the_interpreter_looks_for_no_other() -> None:
    program = """
import sys, time
from singleton_service.background.worker.throwing import take_back, throw_if_harmless
from singleton_service.background.task_queue.errors import TaskInterrupted
import threading

me = threading.get_ident()
try:
    throw_if_harmless(me)
    time.sleep(0)
except TaskInterrupted:
    take_back(me)
sys.setprofile(lambda *_: None)
(lambda: print("profiled"))()
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=PATIENCE_S, check=True)
    assert done.stdout == b"profiled\n"


def test_an_interruption_that_comes_where_nobody_can_catch_it_comes_again(limits: TimeLimits) -> None:
    class Lingers:
        def __del__(self) -> None:
            reached.set()
            spin({})

    def drop(_payload: object) -> None:
        lingers = Lingers()
        del lingers
        spin({})

    reached = threading.Event()
    began = time.monotonic()
    with pytest.raises(TaskInterrupted):
        seat_in(limits).call(job_with(0.05), drop, {})
    assert reached.is_set()
    assert time.monotonic() - began < PATIENCE_S


@pytest.mark.parametrize("grace_s", [0.05])
def test_a_handler_that_does_not_mind_is_given_up_once(
    limits: TimeLimits, given_up: list[tuple[Seat, Job]], until: Callable[..., Any]
) -> None:
    is_over = threading.Event()
    seats: list[Seat] = []
    job = job_with(0.02)

    def stubborn(_payload: object) -> str:
        while not is_over.is_set():
            try:
                is_over.wait(PATIENCE_S)
            except TaskInterrupted:
                continue
        return "late"

    def work() -> None:
        seats.append(seat_in(limits))
        seats[0].call(job, lambda _: _swallow(stubborn), None)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: given_up)
    is_over.set()
    thread.join()
    assert given_up == [(seats[0], job)]
    assert job.is_abandoned
    assert seats[0].is_given_up


def _swallow(function: Callable[[object], str]) -> str:
    try:
        return function(None)
    except TaskInterrupted:
        return function(None)


def test_a_cancel_interrupts_the_job_it_is_meant_for_and_no_other(limits: TimeLimits) -> None:
    seat = seat_in(limits)
    job, other = job_with(), job_with()
    verdicts: list[bool] = []

    def cancels(_payload: object) -> None:
        verdicts.append(seat.interrupt(other, Order.CANCEL, time.monotonic()))
        verdicts.append(seat.interrupt(job, Order.CANCEL, time.monotonic()))
        spin(None)

    with pytest.raises(TaskInterrupted):
        seat.call(job, cancels, None)
    assert verdicts in ([False], [False, True])  # it takes effect at the next instruction
    assert job.order is Order.CANCEL
    assert other.order is None
