"""The pipeline of threads and processes, run as it stands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.system.place import EXAMPLES, group_exists

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = EXAMPLES.parent
PIPELINE = EXAMPLES / "pipeline.py"
PATIENCE_S = 60


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", PIPELINE, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows_in(printed: str) -> dict[str, float]:
    return {name: float(bits) for bits, name in re.findall(r"^ ?(\d\.\d\d)  (\S+)$", printed, re.MULTILINE)}


def test_each_file_is_measured_once() -> None:
    printed, said = (process := start()).communicate(timeout=PATIENCE_S)

    assert (process.returncode, said) == (0, "")
    files = {file.name for file in (ROOT / "examples" / "data").iterdir()}
    assert rows_in(printed).keys() == files
    assert rows_in(printed)["coffee.png"] > 7.9
    assert f"{len(files)}/{len(files)}" in printed


def test_what_is_measured_is_right(tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(b"a" * 100)
    (tmp_path / "all").write_bytes(bytes(range(256)))
    (tmp_path / "empty").touch()

    printed, _ = start(tmp_path).communicate(timeout=PATIENCE_S)

    assert rows_in(printed) == {"same": 0, "all": 8, "empty": 0}


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    (tmp_path / "bad").symlink_to("/proc/self/mem")
    (tmp_path / "good").write_bytes(b"ab")

    printed, said = (process := start(tmp_path)).communicate(timeout=PATIENCE_S)

    assert (process.returncode, said) == (1, "bad: Input/output error\n")
    assert rows_in(printed) == {"good": 1}


def test_ctrl_c_measures_what_was_read_and_leaves_nobody_behind(tmp_path: Path, until: Callable[..., object]) -> None:
    for number in range(200):
        (tmp_path / f"{number:03}").write_bytes(os.urandom(1 << 20))
    process = start(tmp_path)
    assert process.stdout is not None
    while not re.match(r" +[1-9]\d*/", process.stdout.readline()):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)

    printed, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 1
    assert "Traceback" not in said
    assert 0 < len(rows_in(printed)) < 200
    until(lambda: not group_exists(process.pid))
