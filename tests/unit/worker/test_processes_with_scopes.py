"""Resources, scopes and hooks in the processes of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.worker import hooks
from singleton_service.background.worker.job import Ending
from singleton_service.background.worker.registering import MODULES
from singleton_service.background.worker.seat import Order

from . import jobs_with_scopes as jobs
from .test_processes import bench, new_bench, result_of  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .test_processes import Bench


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


def test_a_process_has_its_own_resource_a_scope_for_each_task_and_the_hooks(bench: Bench, notes: Path) -> None:  # noqa: F811
    MODULES[jobs.__name__] = None
    hooks.TASK_FAILURE.append(jobs.fails)
    hooks.AFTER_TASK.append(jobs.ends)
    first, second = (result_of(bench.run(jobs.who)) for _ in range(2))
    assert first[0] == first[1] == second[0]
    bench.run(jobs.gives_up)
    bench.run(jobs.spins, timeout=0.1)
    assert notes.read_text().splitlines() == [
        *("opens", "who begins", "who commits", "who ends as completed"),
        *("who begins", "who commits", "who ends as completed"),
        *("gives_up begins", "gives_up rolls back after PermanentError"),
        *("gives_up fails with PermanentError", "gives_up ends as failed"),
        *("spins begins", "spins rolls back after TaskInterrupted"),
        *("spins fails with TaskTimeoutError", "spins ends as retrying"),
    ]
    # What a process that died can't tell is told here.
    bench.run(jobs.crashes)
    assert notes.read_text().splitlines()[-2:] == ["crashes fails with ProcessDiedError", "crashes ends as retrying"]


def test_hooks_there_know_a_cancel_from_a_stop(bench: Bench, notes: Path, until: Callable[..., Any]) -> None:  # noqa: F811
    MODULES[jobs.__name__] = None
    for order, status in ((Order.CANCEL, "cancelled"), (Order.STOP, "pending")):
        job = bench.submit(jobs.spins)
        until(lambda job=job: job.has_begun)
        bench.pool.cancel(job, order)
        bench.wait_for(job)
        assert job.ending is Ending.RELEASE
        assert notes.read_text().splitlines()[-1] == f"spins ends as {status}"


def test_a_resource_is_closed_at_the_end_of_its_process(bench: Bench, notes: Path) -> None:  # noqa: F811
    MODULES[jobs.__name__] = None
    bench.run(jobs.who)
    bench.close()
    assert notes.read_text().splitlines()[-1] == "closes"


def test_coroutines_in_a_process_have_a_loop_with_all_of_that(bench: Bench, notes: Path) -> None:  # noqa: F811
    MODULES[jobs.__name__] = None
    here, pid = result_of(bench.run(jobs.awho))
    assert here == pid
    assert bench.run(jobs.waits, timeout=0.1).ending is Ending.RETRY
    bench.close()
    assert notes.read_text().splitlines() == [
        *("pool opens", "awho begins", "borrows", "gives back", "awho commits", "awho ends as completed"),
        *("waits begins", "borrows", "gives back", "waits rolls back after CancelledError"),
        *("waits fails with TaskTimeoutError", "waits ends as retrying", "pool closes"),
    ]


def test_tasks_are_held_while_a_module_with_scopes_can_not_be_imported(bench: Bench, notes: Path) -> None:  # noqa: F811
    MODULES["no_such_module"] = None
    job = bench.run(jobs.who)
    assert job.ending is Ending.HOLD
    assert "no_such_module" in job.reason
