"""Names of worker processes: `host:pid:` and 16 hex digits, of which the first 8 are the time of its start."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Whoever is to know each name that this process takes, before it takes a task under it.
LISTENERS: list[Callable[[str], object]] = []

_TIME_DIGITS = 8


def new_worker_id() -> str:
    """Make a name that no other process ever has, nor this one after another start of its services."""
    # The host's name becomes part of a key and of "fence|worker": only characters that mean nothing there.
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()) or "host"
    name = f"{host}:{os.getpid()}:{int(time.time()):08x}{secrets.token_hex(4)}"
    for listener in LISTENERS:
        listener(name)
    return name


# A forked child has names of its own, of which nobody was told to hear.
os.register_at_fork(after_in_child=LISTENERS.clear)


def this_host() -> str:
    """Return this machine's name as worker ids have it."""
    # It becomes part of a key and of "fence|worker": only characters that mean nothing there.
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()) or "host"


def read_worker_id(worker_id: str) -> tuple[str, int, datetime | None]:
    """Return host, pid, and when its services started by its own clock; None where a version before wrote the name."""
    host, pid, tail = worker_id.rsplit(":", 2)
    has_time = len(tail) > _TIME_DIGITS
    return host, int(pid), datetime.fromtimestamp(int(tail[:_TIME_DIGITS], 16), UTC) if has_time else None
