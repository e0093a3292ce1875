"""The pages on looking after a queue: each program on them is run, its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PROGRAM = re.compile(
    r"^```python\n(# (\w+\.py)\n.*?)^```$.*?^```console\n\$ python (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
PAGES = (
    "batches",
    "define-tasks",
    "hooks-resources-scopes",
    "intake-and-order",
    "look-after-a-queue",
    "processes",
    "rate-limits-and-tenants",
    "retries",
    "schedule-tasks",
    "services-that-fail",
    "stop-workers",
    "threads-and-coroutines",
)
PROGRAMS = [
    pytest.param(*found, id=found[1])
    for page in PAGES
    for found in PROGRAM.findall((ROOT / f"docs/howto/{page}.md").read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("program", "name", "run", "output"), PROGRAMS)
def test_a_program_prints_what_its_page_says(
    program: str, name: str, run: str, output: str, until: Callable[..., object]
) -> None:
    assert run == name
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="howto-") as directory:
        folder = Path(directory)
        (folder / name).write_text(program, encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
        ran = subprocess.run(
            [sys.executable, name],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(ROOT), "TASKS_DATA_DIR": str(folder / "data")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, output, "")
        until(lambda: not (folder / "data" / "server.sock").exists())
