"""Runs mypy and pyright over the files of this folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.timeout(120)
def test_mypy_strict_sees_what_guarded_methods_really_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(HERE / "guarded_types.py")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# One run for all: most of it is reading the libraries.
@pytest.mark.timeout(120)
def test_pyright_sees_what_guarded_methods_the_doors_and_the_workers_really_are() -> None:
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent))
    if pyright is None:
        pytest.skip("pyright is not installed beside this Python")
    files = sorted(map(str, HERE.glob("*_types.py")))
    files.remove(str(Path(__file__)))
    assert len(files) >= 3
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, *files],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        check=False,
    )
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright did not run here: {done.stderr[-200:]}")
    report = json.loads(done.stdout)
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] == len(files)
