"""Say why a server did not start, from what it left in its log."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Final

from singleton_service.background.engine import supervisor
from singleton_service.background.engine.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["failed_start", "log_tail"]

_TAIL_BYTES: Final = 16_384
_TAIL_LINES: Final = 12
_LITTLE_BYTES: Final = 16_384
_FILES: Final = "appendonlydir"
_OTHERWISE: Final = "or set TASKS_DATA_DIR to another directory, or REDIS_URL to a running server."


def log_tail(log: Path, start: int = 0) -> str:
    """Return the last lines of *log* after byte *start*, "" if there are none."""
    try:
        size = log.stat().st_size
        with log.open("rb") as file:
            # Cut meanwhile, it is shorter than where we began.
            file.seek(max(start if start <= size else 0, size - _TAIL_BYTES, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-_TAIL_LINES:])


def failed_start(word: str, data_dir: Path, binary: Path, tail: str) -> EngineError:
    """Return the error for a server that did not start; *word* is what its supervisor came to."""
    # A full disk leaves no room for the line that would say so.
    signs = tail if _has_room(data_dir) else "No space left"
    for sign, what, fix in _known_causes(data_dir, binary, tail):
        if sign in signs:
            return EngineError(what, str(data_dir), fix, tail)
    what = {
        "failed": "the embedded server ended while it was being started",
        "late": "the embedded server did not answer in time",
    }.get(word, "the supervisor of the embedded server ended before the server answered")
    return EngineError(what, str(data_dir), f"See {data_dir / supervisor.LOG_FILE}, {_OTHERWISE}", tail)


def _has_room(data_dir: Path) -> bool:
    try:
        return shutil.disk_usage(data_dir).free > _LITTLE_BYTES
    except OSError:
        return True


def _known_causes(data_dir: Path, binary: Path, tail: str) -> tuple[tuple[str, str, str], ...]:
    anew = f"move the directory away to begin with nothing, {_OTHERWISE}"
    damaged = (
        "the append-only file of the embedded server is damaged",
        f"Keep a copy of the directory, then {_repair(data_dir, binary, tail)}{anew}",
    )
    newer = (
        "the data was written by a newer server than the one that was found",
        f"Start it with that server ({binary} is too old), {_OTHERWISE}",
    )
    full = ("there is no room left for the data of the embedded server", f"Make room, {_OTHERWISE}")
    forbidden = (
        "the embedded server may not read or write its data",
        f"Make all of it this user's (chown -R {os.geteuid()} {data_dir}), {_OTHERWISE}",
    )
    return (
        ("RDB format version", *newer),
        ("No space left", *full),
        ("Disk quota exceeded", *full),
        ("Permission denied", *forbidden),
        ("Read-only file system", *forbidden),
        ("Bad file format", *damaged),
        ("Unrecoverable error reading the append only file", *damaged),
        ("Invalid AOF", *damaged),
        ("AOF manifest", *damaged),
        ("rror reading the RDB", *damaged),
    )


def _repair(data_dir: Path, binary: Path, tail: str) -> str:
    """Return how to cut the damaged file, if it is one of commands: a base file cannot be cut.

    The program is a checker when it is called so. It is given the file itself: told the manifest,
    the checker of Valkey 9.1 takes Valkey's own base file for damage.
    """
    named = re.search(r"append only file (\S+\.incr\.aof)", tail)
    if named is None:
        return ""
    checker = "valkey-check-aof" if "valkey" in binary.name else "redis-check-aof"
    call = shlex.join(
        ("bash", "-c", f'exec -a {checker} "$0" --fix "$1"', str(binary), str(data_dir / _FILES / named[1]))
    )
    return f"cut the file at the damage (run: {call}), or "
