"""A clock that a test moves: delays, retries, expiry and schedules come due without a wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from singleton_service.background.task_queue import wall_clock
from singleton_service.background.task_queue.checks import check_eta

if TYPE_CHECKING:
    from collections.abc import Callable

_MS = timedelta(milliseconds=1)


class Clock:
    """The time of the queue, the server's and this process's alike. It goes on by itself, as clocks do.

    What `datetime.now()` says does not change. Time goes forward only, as it does for a server.
    """

    def __init__(self, move_to: Callable[[int], object]) -> None:
        """Have *move_to* called with the ms since 1970 that it shall be."""
        self._move_to = move_to

    def now(self) -> datetime:
        """Return what time it is for the queue, aware, in UTC."""
        return wall_clock.now()

    def move(  # noqa: PLR0913 - the units of time
        self,
        by: timedelta | None = None,
        /,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Let so much time pass: ``move(days=3)``, ``move(hours=1, minutes=30)`` or ``move(timedelta(days=3))``.

        Returns at once. Nothing is run by it but under `TaskQueueBench.immediate`: call `TaskQueueBench.drain`.

        Raises:
            ValueError: it is no time at all, or less.
            TypeError: it is no time.
        """
        if by is not None and not isinstance(by, timedelta):
            raise TypeError(f"move({by!r}) is no time: write move(days=3), move(seconds=90) or move(timedelta(...))")
        total = (by or timedelta()) + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        if total < _MS:
            raise ValueError(f"the clock can't be moved by {total}: time goes forward, so it takes 1 ms or more")
        self._move_to(check_eta(self.now() + total))

    def move_to(self, when: datetime) -> None:
        """Let time pass until *when*; a naive datetime is local time.

        Raises:
            ValueError: that time is over.
            TypeError: it is no datetime.
        """
        if not isinstance(when, datetime):
            raise TypeError(f"move_to({when!r}) is no point in time: pass a datetime; move() takes a length of time")
        ms = check_eta(when)
        if ms < wall_clock.now_ms():
            raise ValueError(
                f"the clock can't be moved to {datetime.fromtimestamp(ms / 1000, UTC)}: it is {self.now()} by now, and "
                "time goes forward"
            )
        self._move_to(ms)
