"""When a failed task runs again: arithmetic only."""

from __future__ import annotations


def retry_delay_s(retry: int, *, base_s: float, cap_s: float, fixed_s: float | None = None) -> float:
    """Return the seconds to wait before *retry* (1 is the first).

    A task's own `retry_delay_seconds` is *fixed_s*: the same each time. Otherwise `min(base_s * 2**retry, cap_s)`:
    with the defaults (60, 3600) that is 120, 240, 480, 960, 1920, 3600, 3600, ... seconds.
    """
    if fixed_s is not None:
        return fixed_s
    # 2**64 is past every cap; an unbounded power of a large count would be slow.
    return float(min(base_s * 2 ** min(retry, 64), cap_s))
