"""When a failed task runs again: arithmetic only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .policy import Policy


def retry_delay_s(policy: Policy, retry: int, *, base_s: float, cap_s: float, chance: float = 0.0) -> float:
    """Return the seconds to wait before *retry* (1 is the first).

    It is `first * factor**(retry - 1)`, at most the longest, and then shortened by what the policy leaves to *chance*,
    which is 0 to 1. Where the policy says nothing, `first` is twice *base_s*, the factor 2 and *cap_s* the longest:
    with the default settings (60, 3600) that is 120, 240, 480, 960, 1920, 3600, 3600, ... seconds. The policy's own
    first delay is not cut by *cap_s*, only by the longest that the policy names.
    """
    first_s, longest_s = 2 * base_s, cap_s
    if policy.retry_delay_seconds is not None:
        first_s = policy.retry_delay_seconds
        longest_s = max(first_s, cap_s)
    if policy.retry_backoff_max is not None:
        longest_s = policy.retry_backoff_max
    jitter = float(policy.retry_jitter or 0)
    return min(_grown(first_s, policy.factor, retry - 1), longest_s) * (1 - jitter * chance)


def _grown(first_s: float, factor: float, times: int) -> float:
    if first_s == 0:
        return 0.0
    try:
        return first_s * factor**times
    except OverflowError:
        return float("inf")
