"""The server's clock, as this process knows it between two answers. No other clock decides when something is due."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_US = 1_000_000


class ServerClock:
    """Tells the server's time, from what answers said and how long ago that was. Any thread may ask, and tell it.

    Args:
        steady_s: seconds that pass evenly, whoever sets the time of day.
    """

    def __init__(self, steady_s: Callable[[], float] = time.monotonic) -> None:
        self.steady_s = steady_s
        # None until the first answer.
        self._ahead_s: float | None = None

    def now_ms(self) -> int:
        """Return ms since 1970.

        Raises:
            RuntimeError: no answer has come yet.
        """
        if self._ahead_s is None:
            raise RuntimeError("the server has not told the time yet: ask it first")
        return int((self.steady_s() + self._ahead_s) * 1000)

    def heard(self, now_us: int, sent_at_s: float, received_at_s: float) -> float:
        """Take note that the server told the time between two moments; return by how many seconds it was off.

        The answer says no more than that: what agrees with it moves nothing, so that a slow answer makes nothing worse.
        Of what may be true the earliest is believed, so nothing is ever fired before its instant.
        """
        told_s = now_us / _US
        earliest_s, latest_s = told_s - received_at_s, told_s - sent_at_s
        before_s = self._ahead_s
        if before_s is None:
            self._ahead_s = earliest_s
            return 0.0
        if earliest_s <= before_s <= latest_s:
            return 0.0
        self._ahead_s = earliest_s
        return earliest_s - before_s
