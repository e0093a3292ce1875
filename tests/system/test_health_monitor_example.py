"""The health monitor: three workers fall ill, each in its own way, and recover."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

from tests.system.place import EXAMPLES, group_exists, read_line, wait_until

MONITOR = EXAMPLES / "health_monitor.py"


def start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", MONITOR],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_who_dies_comes_back_and_who_hangs_is_found() -> None:
    printed, _ = (process := start()).communicate(timeout=60)

    assert process.returncode == 0, printed
    assert "worker 'Fetch' died: main raised ConnectionError('the line is broken'); starting it again" in printed
    assert "worker 'Crunch' died: its process was killed by SIGKILL; starting it again" in printed
    assert re.search(r"^ *\d+\.\d s  .*  silent for 1 s$", printed, re.MULTILINE)
    assert "worker 'Index': main failed: broken off" in printed
    lines = printed.splitlines()
    assert re.fullmatch(r" *\d+\.\d s {2}(well, in life [2-9] *){3}", lines[-2]), printed
    assert re.fullmatch(r"Started Fetch [2-9] times, Crunch [2-9] times, Index [2-9] times\.", lines[-1])


def test_ctrl_c_ends_all_of_them_even_the_one_that_hangs() -> None:
    process = start()
    read_line(process, r"worker 'Crunch' died")
    os.killpg(process.pid, signal.SIGINT)

    printed, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "Traceback" not in printed
    assert re.search(r"^Started Fetch \d times", printed, re.MULTILINE)
    wait_until(lambda: not group_exists(process.pid))
