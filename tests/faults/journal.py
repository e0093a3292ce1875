"""What each process of a scenario did, line by line: written so that the process's own kill -9 takes nothing back."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def now_s() -> float:
    """Return the machine's clock, also in a program whose own clock was moved."""
    return time.clock_gettime(time.CLOCK_REALTIME)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `who` is the process's name in the scenario."""

    at_s: float
    who: str
    word: str
    fields: tuple[Any, ...]


class Journal:
    """Appends lines to a file of this process alone. Threads may write at once: one line is one write.

    Args:
        sync: whether each line is on the disk before `write` returns.
    """

    def __init__(self, path: str | os.PathLike[str], *, sync: bool = False) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._sync = sync

    def write(self, word: str, *fields: Any) -> None:
        """Append one line; the fields are JSON values."""
        os.write(self._fd, json.dumps([now_s(), word, *fields]).encode() + b"\n")
        if self._sync:
            os.fdatasync(self._fd)


class Journals:
    """All journals of a scenario, read as they grow."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets: dict[Path, int] = {}
        self._entries: list[Entry] = []

    def path(self, who: str) -> Path:
        """Return where the process *who* writes."""
        return self._directory / f"{who}.journal"

    def entries(self, *words: str) -> list[Entry]:
        """Return what there is now, in the order of its time; only those words, if any are given."""
        for path in sorted(self._directory.glob("*.journal")):
            self._entries += self._read_on(path)
        self._entries.sort(key=lambda entry: entry.at_s)
        return [entry for entry in self._entries if not words or entry.word in words]

    def count(self, word: str) -> int:
        """Return how many lines have that word."""
        return len(self.entries(word))

    def _read_on(self, path: Path) -> Iterator[Entry]:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offsets[path] = self._offsets.get(path, 0) + len(line)
                at_s, word, *fields = json.loads(line)
                yield Entry(at_s, path.stem, word, tuple(fields))
