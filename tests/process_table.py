"""Which processes there are, as the kernel sees it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits for its parent to notice its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        # The second, when it goes after the file was opened.
        return False


def runs_on(pid: int) -> bool:
    """Whether a process may execute another instruction: it is alive, and no SIGKILL waits for its next turn."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    pending = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd:", "ShdPnd:"))]
    return is_alive(pid) and not any(signals >> (signal.SIGKILL - 1) & 1 for signals in pending)


def task_processes() -> set[int]:
    """Return this process's children that do tasks, dead ones that nobody has waited for included."""
    mine = str(os.getpid())
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = path.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if parent == mine and "processes.inside" in path.joinpath("cmdline").read_text():
                found.add(int(path.name))
    return found
