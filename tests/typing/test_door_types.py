"""Runs pyright over door_types.py and worker_types.py (`make check` runs mypy over them)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.timeout(120)
def test_pyright_sees_what_the_doors_and_the_workers_really_offer() -> None:
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent))
    if pyright is None:
        pytest.skip("pyright is not installed beside this Python")
    done = subprocess.run(
        [pyright, "--pythonpath", sys.executable, str(HERE / "door_types.py"), str(HERE / "worker_types.py")],
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
