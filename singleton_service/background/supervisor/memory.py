"""How much memory another process has."""

from __future__ import annotations

import os
import subprocess


def resident_mb(pid: int) -> float:
    """Return what a process has in RAM, MB (10^6 bytes); 0 if it is not there any more."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123 - one line of the kernel's, read at once
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        pass
    if os.path.exists("/proc/self/statm"):  # noqa: PTH110 - of the same kernel
        return 0.0
    said = subprocess.run(  # noqa: S603 - no word of it is a user's
        ["ps", "-o", "rss=", "-p", str(pid)],  # noqa: S607 - wherever it is
        capture_output=True,
        text=True,
        check=False,
    )
    return int(said.stdout or 0) * 1024 / 1e6
