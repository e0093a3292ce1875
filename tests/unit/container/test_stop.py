"""Stopping: exact reverse order, each once, bounded, past every error; and ``running``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import BaseService, guarded, running, start, stop
from singleton_service.exceptions import ServiceInitializationError, ServiceShutdownError

if TYPE_CHECKING:
    from .conftest import Journal, Workshop

pytestmark = pytest.mark.timeout(30)
PATIENCE_S = 10


def test_services_stop_in_exact_reverse_of_their_start_order(workshop: Workshop, journal: Journal) -> None:
    a, c = workshop.service("A"), workshop.service("C")
    b = workshop.service("B", a)
    start(c)
    start(b)
    stop()
    assert journal.lines == ["+C", "+A", "+B", "-B", "-A", "-C"]


def test_stopping_one_service_stops_what_depends_on_it(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    b = workshop.service("B", a)
    c = workshop.service("C", b)
    other = workshop.service("Other")
    start(c, other)
    stop(b)
    assert journal.lines[-2:] == ["-C", "-B"]
    assert (a._initialized, b._initialized, c._initialized, other._initialized) == (True, False, False, True)


def test_stopping_a_service_stops_what_uses_it_undeclared(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    b = workshop.service("B", initialize=a.call)
    start(b)
    stop(a)
    assert journal.lines == ["+B", "+A", "-B", "-A"]


def test_stopping_what_is_not_started_does_nothing(workshop: Workshop, journal: Journal) -> None:
    stop(workshop.service("A"))
    stop()
    stop()
    assert journal.lines == []


def test_a_service_starts_again_after_a_stop(workshop: Workshop, journal: Journal) -> None:
    service = workshop.service("Service")
    saved = service.call
    for _ in range(2):
        assert saved() == "Service"
        stop()
    assert journal.lines == ["+Service", "-Service"] * 2


def test_a_failing_shutdown_keeps_no_other_from_its_own(workshop: Workshop, journal: Journal) -> None:
    def fail_one() -> None:
        raise OSError("one")

    def fail_two() -> None:
        raise ValueError("two")

    a = workshop.service("A", shutdown=fail_one)
    b = workshop.service("B", a)
    c = workshop.service("C", b, shutdown=fail_two)
    start(c)

    with pytest.raises(ServiceShutdownError, match="2 services failed to shut down") as caught:
        stop()

    assert journal.lines[-3:] == ["-C", "-B", "-A"]
    two, one = caught.value.exceptions
    assert isinstance(two, ValueError)
    assert isinstance(one, OSError)
    assert two.__notes__ == ["raised by C.shutdown()"]
    assert "fail_two" in "".join(traceback.format_exception(two))
    assert not a._initialized
    stop()  # each shutdown once: nothing is left


def test_except_star_picks_single_errors(workshop: Workshop) -> None:
    def fail() -> None:
        raise OSError("one")

    start(workshop.service("A", shutdown=fail))
    seen: list[BaseException] = []
    try:
        stop()
    except* OSError as group:
        seen.extend(group.exceptions)
    assert [str(error) for error in seen] == ["one"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_shutdown_that_hangs_is_given_up_after_its_time(
    workshop: Workshop, journal: Journal, *, is_async: bool
) -> None:
    may_end = threading.Event()

    async def hang_async() -> None:
        await asyncio.sleep(3600)

    hang: Any = hang_async if is_async else lambda: may_end.wait(PATIENCE_S)
    a = workshop.service("A")
    start(workshop.service("B", a, shutdown=hang, is_async=is_async))
    with pytest.raises(ServiceShutdownError) as caught:
        stop(timeout=0.05)
    may_end.set()
    assert isinstance(caught.value.exceptions[0], TimeoutError)
    assert journal.lines[-1] == "-A"


def test_a_shutdown_may_use_its_own_and_lower_services(workshop: Workshop, journal: Journal) -> None:
    lower = workshop.service("Lower")
    used: list[str] = []

    class Upper(BaseService):
        _dependencies = {lower}  # noqa: RUF012 - what @requires writes

        @classmethod
        def shutdown(cls) -> None:
            used.extend((cls.flush(), lower.call()))

        @classmethod
        @guarded
        def flush(cls) -> str:
            return "flushed"

    start(lower, Upper)
    stop()
    assert used == ["flushed", "Lower"]
    assert journal.lines == ["+Lower", "-Lower"]


def test_a_shutdown_that_stops_everything_itself_ends(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    start(workshop.service("B", a, shutdown=stop))
    stop()
    assert journal.lines == ["+A", "+B", "-B", "-A"]


def test_an_initialize_that_stops_everything_does_not_deadlock(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    b = workshop.service("B", initialize=stop)
    start(a, b)
    assert journal.lines == ["+A", "+B", "-A"]


def test_running_starts_and_stops(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    b = workshop.service("B", a)
    with running(b):
        assert b._initialized
    assert journal.lines == ["+A", "+B", "-B", "-A"]


def test_running_leaves_what_was_started_before(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    b = workshop.service("B", a)
    with running(a):
        with running(b):
            pass
        assert a._initialized
    assert journal.lines == ["+A", "+B", "-B", "-A"]


def test_running_nothing_stops_whatever_was_started_within(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    with running():
        a.call()
    assert journal.lines == ["+A", "-A"]


def test_running_stops_what_had_started_when_a_start_fails(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    b = workshop.service("B", a, initialize=lambda: 1 / 0)
    with pytest.raises(ServiceInitializationError), running(b):
        pass
    assert journal.lines == ["+A", "+B", "-A"]


def test_an_error_in_the_block_is_not_hidden_by_one_of_shutting_down(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("disk")

    service = workshop.service("A", shutdown=fail)
    with pytest.raises(KeyError), running(service):
        raise KeyError
    assert "failed to shut down" in caplog.text


EXIT_PROGRAM = """
import sys
from singleton_service import BaseService, requires, start, stop

class A(BaseService):
    @classmethod
    def shutdown(cls): print("-A", flush=True)

@requires(A)
class B(BaseService):
    @classmethod
    async def shutdown(cls): print("-B", flush=True)

start(B)
if "stop" in sys.argv:
    stop()
    print("stopped", flush=True)
if "fail" in sys.argv:
    A.shutdown = classmethod(lambda cls: 1 / 0)
"""


@pytest.mark.parametrize(
    ("argument", "output", "complaint"),
    [("", "-B\n-A\n", False), ("stop", "-B\n-A\nstopped\n", False), ("fail", "-B\n", True)],
)
def test_what_is_still_started_stops_at_exit(tmp_path: Path, argument: str, output: str, *, complaint: bool) -> None:
    program = tmp_path / "program.py"
    program.write_text(EXIT_PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program), argument],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.stdout == output
    assert ("ZeroDivisionError" in done.stderr) is complaint
    assert bool(done.stderr) is complaint
