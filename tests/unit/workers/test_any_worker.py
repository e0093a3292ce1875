"""What holds for every worker, in a thread or in a process, with plain hooks or coroutines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.workers import AbstractWorker, ThreadWorker

from .crew import ToldAsyncProcess, ToldAsyncThread, ToldProcess, ToldThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crew import Journal

pytestmark = pytest.mark.timeout(60)
PATIENCE_S = 30

KINDS = [ToldThread, ToldProcess, ToldAsyncThread, ToldAsyncProcess]
Kind = type[Any]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def live_through(worker: AbstractWorker, until: Callable[..., Any], journal: Journal) -> None:
    worker.start()
    until(lambda: not worker.is_alive or journal.has("main")(), PATIENCE_S)
    worker.stop()
    assert worker.join(PATIENCE_S)


def test_a_life_goes_through_its_hooks_in_order(kind: Kind, journal: Journal, until: Callable[..., Any]) -> None:
    live_through(kind(journal), until, journal)

    assert journal.lines == ["setup", "startup", "main", "teardown", "shutdown"]


@pytest.mark.parametrize(
    ("fails_in", "lines", "has_failed"),
    [
        ("setup", ["setup", "error no setup today", "teardown", "shutdown"], True),
        ("main", ["setup", "startup", "main", "error no main today", "teardown", "shutdown"], True),
        ("teardown", ["setup", "startup", "main", "teardown", "error no teardown today", "shutdown"], False),
    ],
)
def test_teardown_and_shutdown_come_after_every_error(
    kind: Kind,
    fails_in: str,
    lines: list[str],
    has_failed: bool,  # noqa: FBT001 - a parameter of the test
    journal: Journal,
    until: Callable[..., Any],
) -> None:
    worker = kind(journal, fails_in)

    live_through(worker, until, journal)

    assert journal.lines == lines
    assert worker.has_failed is has_failed


def test_a_lifecycle_hook_that_raises_changes_nothing(kind: Kind, journal: Journal, until: Callable[..., Any]) -> None:
    worker = kind(journal, "startup", "main", "error no main today", "shutdown")

    live_through(worker, until, journal)

    assert journal.lines == ["setup", "startup", "main", "error no main today", "teardown", "shutdown"]


def test_a_worker_tells_the_truth_about_itself(kind: Kind, journal: Journal, until: Callable[..., Any]) -> None:
    worker = kind(journal)
    assert (worker.is_running, worker.is_alive, worker.has_failed, worker.starts) == (False, False, False, 0)
    worker.start()
    assert (worker.is_running, worker.is_alive, worker.has_failed, worker.starts) == (True, True, False, 1)
    until(journal.has("main"), PATIENCE_S)
    assert repr(worker) == f"<{kind.__name__} 'told' running>"
    worker.stop()
    assert not worker.is_running
    assert worker.join(PATIENCE_S)
    assert (worker.is_running, worker.is_alive, worker.has_failed, worker.starts) == (False, False, False, 1)


def test_a_worker_that_ended_can_be_started_again(kind: Kind, journal: Journal, until: Callable[..., Any]) -> None:
    worker = kind(journal)
    for life in (1, 2):
        worker.start()
        worker.start()  # once more changes nothing
        until(journal.has("main", times=life), PATIENCE_S)
        worker.stop()
        assert worker.join(PATIENCE_S)

    assert journal.lines == 2 * ["setup", "startup", "main", "teardown", "shutdown"]
    assert worker.starts == 2


def test_a_worker_that_does_not_run_is_stopped_and_joined_without_harm(kind: Kind, journal: Journal) -> None:
    worker = kind(journal)
    worker.stop()
    assert worker.join(0)
    assert not journal.lines


def test_a_worker_bears_the_name_of_its_class_unless_given_one() -> None:
    class Idle(ThreadWorker):
        def main(self) -> None: ...

    class Careless(Idle):
        def __init__(self) -> None: ...

    assert (Idle().name, Idle("busy").name, Careless().name) == ("Idle", "busy", "Careless")
    assert isinstance(Idle(), AbstractWorker)


def test_a_worker_without_a_main_cannot_be_made() -> None:
    class Nothing(ThreadWorker): ...

    with pytest.raises(TypeError, match="main"):
        Nothing()  # type: ignore[abstract]
