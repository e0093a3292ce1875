"""The measurement of schedules, with small numbers: schedulers are killed, and no instant is missing or double."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(120)
def test_each_instant_is_one_task_though_schedulers_are_killed_all_the_time() -> None:
    numbers = ["--seconds", "6", "--schedules", "5", "--kill-every", "0.7", "--idle", "50", "--idle-seconds", "0.1"]

    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.schedules", *numbers],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = re.findall(r"^(?:idle|left alone|being killed) +(\d+) +(\d+) +(\d+) +(\d+) ", ran.stdout, re.MULTILINE)
    counted = [[int(number) for number in row] for row in rows]
    assert len(counted) == 3
    for due, tasks, missing, double in counted:
        assert due == tasks > 0
        assert (missing, double) == (0, 0)
    assert "of a core" in ran.stdout
