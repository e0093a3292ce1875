"""`make soak` does a million tasks; here: the same, smaller, and that it would be noticed if a worker grew."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from .__main__ import Look, grown

LOOK = Look(resident=50_000_000, threads=12, descriptors=15, keys=frozenset({"tasks:{default}:counters"}))


@pytest.mark.timeout(180)
def test_a_worker_that_has_done_many_tasks_holds_no_more_than_before() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.endurance", "--tasks", "40000", "--settled", "15000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "40,000 tasks" in run.stdout


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ({"resident": 56_000_000}, "memory has grown to 1.12 times, at most 1.1"),
        ({"threads": 13}, "12 threads became 13"),
        ({"descriptors": 16}, "15 descriptors became 16"),
        ({"keys": LOOK.keys | {"tasks:{default}:left"}}, "new keys: ['tasks:{default}:left']"),
    ],
)
def test_what_has_grown_is_said(later: dict[str, Any], said: str) -> None:
    assert grown(LOOK, replace(LOOK, **later)) == [said]


def test_less_is_no_harm() -> None:
    assert grown(LOOK, replace(LOOK, resident=40_000_000, threads=8, keys=frozenset())) == []
