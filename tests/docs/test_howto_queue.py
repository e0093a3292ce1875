"""docs/howto/look-after-a-queue.md: its program is run, its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/look-after-a-queue.md").read_text(encoding="utf-8")


def test_the_program_prints_what_the_page_says(until: Callable[..., object]) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (output,) = re.findall(r"^```console\n\$ python look_after.py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="howto-") as directory:
        folder = Path(directory)
        (folder / "look_after.py").write_text(program, encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
        ran = subprocess.run(
            [sys.executable, "look_after.py"],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(ROOT), "TASKS_DATA_DIR": str(folder / "data")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, output, "")
        until(lambda: not (folder / "data" / "server.sock").exists())
