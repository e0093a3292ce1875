"""What several programs print, each line under its program's name."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import click

from .problems import is_colourful

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLOURS = ("cyan", "green", "magenta", "yellow")
_JOIN_S = 1.0


class Prefixes:
    """Threads that read what programs print, and write it to stderr, whole lines."""

    def __init__(self, names: Sequence[str]) -> None:
        width = max(map(len, names))
        colourful = is_colourful(sys.stderr.isatty())
        self._prefixes = {
            name: click.style(f"{name.ljust(width)} |", fg=colour) if colourful else f"{name.ljust(width)} |"
            for name, colour in zip(names, _COLOURS, strict=False)
        }
        self._readers: list[threading.Thread] = []

    def output_of(self, name: str) -> int:
        """Return a descriptor for one process to print to; whoever gets it closes it."""
        reading, writing = os.pipe()
        reader = threading.Thread(target=self._read, args=(reading, self._prefixes[name]), daemon=True)
        reader.start()
        self._readers = [known for known in self._readers if known.is_alive()] + [reader]
        return writing

    def close(self) -> None:
        """Wait for the last words of processes that have ended."""
        for reader in self._readers:
            reader.join(_JOIN_S)

    @staticmethod
    def _read(descriptor: int, prefix: str) -> None:
        with open(descriptor, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                sys.stderr.write(f"{prefix} {line.rstrip()}\n".replace("| \n", "|\n"))
                sys.stderr.flush()
