"""Runs a scenario, and shows the figures of all that ran at the end of the run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .catalogue import SCENARIOS
from .rig import SMALL, Report
from .run import run

if TYPE_CHECKING:
    from collections.abc import Callable

_SCENARIOS = Path(__file__).with_name("test_scenarios.py")
_FIGURES = "figures of a scenario"
_SOAK, _OTHERS, _NO_SCENARIO = range(3)
# These depend on how fast the machine is just now.
_MAY_BE_NOISE = ("the fault did not bite", "a stall of", "a dead worker's tasks ran again after")


@pytest.hookimpl(trylast=True)  # after all that leaves tests out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest begin first, so that nobody waits for them at the end, and scenarios have scenarios beside them.

    They wait most of the time, and beside them what takes all of a processor looks like a stall.
    """
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.path != _SCENARIOS:
        return _NO_SCENARIO
    return _SOAK if item.name.endswith("[soak]") else _OTHERS


@pytest.fixture
def report_of(record_property: Callable[[str, object], None]) -> Callable[[str], Report]:
    """Run a scenario. FAULTS_SEED and FAULTS_SOAK_SECONDS choose another fate.

    When all that is wrong may be the machine's noise, run it again, twice at most: a task lost or doubled never is.
    """
    seed = int(os.environ.get("FAULTS_SEED", SMALL.seed))
    size = replace(SMALL, seed=seed, soak_s=float(os.environ.get("FAULTS_SOAK_SECONDS", SMALL.soak_s)))

    def run_until_it_tells(name: str) -> Report:
        report = run(SCENARIOS[name], size)
        for _ in range(2):
            if not report.broken or not all(sentence.startswith(_MAY_BE_NOISE) for sentence in report.broken):
                break
            report = run(SCENARIOS[name], size)
        # A property, for it finds its way from whichever process the test runs in.
        record_property(_FIGURES, report.line)
        return report

    return run_until_it_tells


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    lines = [value for report in reports for name, value in report.user_properties if name == _FIGURES]
    if lines:
        terminalreporter.section("faults")
        for line in sorted(lines):
            terminalreporter.write_line(line)
