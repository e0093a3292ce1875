"""What parent and child say to each other, a line of JSON each; and which signals both take for a word."""

from __future__ import annotations

import json
import signal
from enum import StrEnum
from typing import Any


def stopping() -> tuple[signal.Signals, ...]:
    """Return the signals that ask to end: HUP, too, of a terminal that is closed, unless `nohup` had it ignored."""
    asked = (signal.SIGINT, signal.SIGTERM)
    return asked if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*asked, signal.SIGHUP)


class Order(StrEnum):
    """What a parent says."""

    BEGIN = "begin"  # what there is to show of it has been shown
    RETIRE = "retire"  # take no more tasks, end when those that run have ended, however long that takes
    DRAIN = "drain"  # the same, for as long as a stop may take
    LEAVE = "leave"  # hand back what runs, and end


class News(StrEnum):
    """What a child says, each with a value."""

    WORKER = "worker"  # a name under which it is about to take tasks
    LOADED = "loaded"  # the user's code is imported: what to show of it
    SERVES = "serves"  # whether it takes tasks
    TASKS = "tasks"  # how many attempts have ended


def written(word: Order | News, value: Any = None) -> bytes:
    """Write a word down."""
    return json.dumps([word, value]).encode() + b"\n"


class Reader:
    """Makes words of the bytes that come."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> list[tuple[str, Any]]:
        """Return the words that are whole now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [(word, value) for word, value in map(json.loads, lines)]
