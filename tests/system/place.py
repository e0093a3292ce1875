"""Examples, run in a folder of their own as a user runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

# What asyncio says in development mode of whatever held a loop up, as on a machine that is busy.
SLOW = re.compile(r"^Executing <.*> took \d+\.\d+ seconds\n", re.MULTILINE)
EXAMPLES = Path(__file__).parents[2] / "examples"


def wait_until(is_so: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not so within {within_s} s"
        time.sleep(0.02)


def processes_about(path: Path) -> list[int]:
    """Return the processes whose command line or environment names a path, but us."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(path).encode() in known and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


class Place:
    """A folder with a queue of its own, and programs run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data_dir = path / "queue"
        self.output = path / "output"
        ours = {name: value for name, value in os.environ.items() if not name.startswith("TASKS_")}
        ours.pop("REDIS_URL", None)
        self.environment = {**ours, "TASKS_DATA_DIR": str(self.data_dir), "COLUMNS": "160", "PYTHONUNBUFFERED": "1"}
        self.programs: list[subprocess.Popen[str]] = []

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [sys.executable, *command],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.programs.append(program)
        return program

    def start_main(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return self.start(EXAMPLES / "main.py", *arguments, "--output", self.output)

    def run_main(self, *arguments: str | Path) -> tuple[int, str]:
        program = self.start_main(*arguments)
        printed, _ = program.communicate(timeout=60)
        return program.returncode, printed

    def start_example(self, name: str, *arguments: str | Path) -> subprocess.Popen[str]:
        return self.start("-X", "dev", "-W", "error", EXAMPLES / name, *arguments)

    def run_example(self, name: str, *arguments: str | Path) -> tuple[int, str]:
        program = self.start_example(name, *arguments)
        printed, _ = program.communicate(timeout=60)
        return program.returncode, SLOW.sub("", printed)

    def leave(self) -> None:
        for program in self.programs:
            if program.poll() is None:
                program.kill()
                program.wait()
            if program.stdout:
                program.stdout.close()
        # The embedded server goes by itself when its last user has gone, however that went.
        wait_until(lambda: not processes_about(self.data_dir), within_s=15)


def read_line(program: subprocess.Popen[str], pattern: str) -> str:
    """Read until a line matches, and return it."""
    assert program.stdout is not None
    seen = []
    for line in program.stdout:
        seen.append(line)
        if re.search(pattern, line):
            return line
    pytest.fail(f"no line like {pattern!r} in:\n{''.join(seen)}")


def group_exists(group: int) -> bool:
    """Tell whether a process group has a member left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
