"""Scenarios run side by side, so that waiting for leases to end costs little; each test waits for its own."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from .catalogue import SCENARIOS
from .rig import SMALL, Report
from .run import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .rig import Size
    from .run import Scenario

# Most of each is waiting, and the soak is one of them for two minutes; more would take the time from each other.
_SIDE_BY_SIDE = 4
_LINES: list[str] = []
# These depend on how fast the machine is just now.
_MAY_BE_NOISE = ("the fault did not bite", "a stall of", "a dead worker's tasks ran again after")


def _run_until_it_tells(scenario: Scenario, size: Size) -> Report:
    """Run again, twice at most, when all that is wrong may be the machine's noise: a task lost or doubled never is."""
    report = run(scenario, size)
    for _ in range(2):
        if not report.broken or not all(sentence.startswith(_MAY_BE_NOISE) for sentence in report.broken):
            break
        report = run(scenario, size)
    return report


@pytest.fixture(scope="session")
def reports(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Report]]]:
    """The scenarios of this session under way. FAULTS_SEED and FAULTS_SOAK_SECONDS choose another fate."""
    seed = int(os.environ.get("FAULTS_SEED", SMALL.seed))
    size = replace(SMALL, seed=seed, soak_s=float(os.environ.get("FAULTS_SOAK_SECONDS", SMALL.soak_s)))
    wanted = [item.callspec.params.get("scenario") for item in request.session.items if hasattr(item, "callspec")]
    pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="faults")
    # The soak first: it lasts as long as all others together.
    names = sorted((name for name in SCENARIOS if name in wanted), key=lambda name: name != "soak")
    yield {name: pool.submit(_run_until_it_tells, SCENARIOS[name], size) for name in names}
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def report_of(reports: dict[str, Future[Report]]) -> Any:
    """Wait for one scenario's report; its line of figures is shown at the end of the run."""

    def wait(name: str) -> Report:
        report = reports[name].result()
        _LINES.append(report.line)
        return report

    return wait


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _LINES:
        terminalreporter.section("faults")
        for line in _LINES:
            terminalreporter.write_line(line)
