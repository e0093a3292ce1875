"""What a program and all its children use, from /proc, and their end."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def tree(root: int) -> set[int]:
    """Return a process, its descendants, and whoever else is in the session it leads."""
    found = {root}
    stats = {int(path.parent.name): _fields(path) for path in Path("/proc").glob("[0-9]*/stat")}
    while True:
        more = {
            pid
            for pid, fields in stats.items()
            if fields and pid not in found and (int(fields[1]) in found or int(fields[3]) == root)
        }
        if not more:
            return found
        found |= more


def cpu_seconds(root: int) -> float:
    """Return the processor time a tree took so far, that of its ended children included."""
    fields = [_fields(Path(f"/proc/{pid}/stat")) for pid in tree(root)]
    return sum(sum(map(int, each[11:15])) for each in fields if each) * _TICK_S


def busy_seconds(root: int) -> float:
    """Return what the living threads of a tree ran so far: for how little an idle one takes, ticks are too coarse."""
    total_ns = 0
    for pid in tree(root):
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):
                total_ns += int(path.read_text().split()[0])
    return total_ns / 1e9


def machine_busy_seconds() -> float:
    """Return the processor time that everything on this machine took since it started."""
    user, nice, system, _idle, _waiting, *interrupts = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + sum(interrupts)) * _TICK_S


def resident_bytes(root: int) -> int:
    """Return the resident memory of all of a tree together; what they share counts for each."""
    total = 0
    for pid in tree(root):
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return total


def kill(root: int) -> None:
    """Kill -9 a whole tree."""
    for pid in tree(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _fields(stat: Path) -> list[str]:
    """Return what follows the name in a line of /proc, from the state on; nothing if the process is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []
