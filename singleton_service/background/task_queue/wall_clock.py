"""What time it is by this machine, where that counts: when a task was made, when an attempt failed, what is scheduled.

The server's clock decides everything else. Tests move both (`singleton_service.background.testing`); nothing else does.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

_ahead_ms = 0


def now_ms() -> int:
    """Return ms since 1970."""
    return time.time_ns() // 1_000_000 + _ahead_ms


def now() -> datetime:
    """Return the same as an aware datetime, in UTC."""
    return datetime.fromtimestamp(now_ms() / 1000, UTC)


def set_ahead(ms: int) -> None:
    """Be so far ahead of the machine's clock, for tests of applications; 0 is not at all."""
    global _ahead_ms
    _ahead_ms = ms
