"""How many tasks to hold ready beyond those that run: arithmetic only."""

from __future__ import annotations

HORIZON_S = 0.25
# What one fetch brings at most. While the server looks for one portion the worker is at those before it: neither waits
# for the other, and nobody else waits long for the server.
PORTION = 500
MOST = 2 * PORTION
_WEIGHT = 0.2


class Lookahead:
    """Follows how long tasks take, and says how many make up a quarter of a second of work, at most two portions.

    That is enough for the pool never to wait for the network, and little enough that no task waits behind a busy
    worker while another one is idle.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._mean_s: float | None = None

    def saw(self, runs_s: list[float]) -> None:
        """Learn from finished tasks."""
        if runs_s:
            mean_s = sum(runs_s) / len(runs_s)
            self._mean_s = mean_s if self._mean_s is None else self._mean_s + _WEIGHT * (mean_s - self._mean_s)

    def stalled(self) -> None:
        """Learn that what was held ready did not start within the horizon: hold nothing until a task has finished."""
        self._mean_s = None

    @property
    def tasks(self) -> int:
        """How many to hold ready; 0 until something is known."""
        if self._mean_s is None:
            return 0
        return min(MOST, int(self._threads * HORIZON_S / max(self._mean_s, 1e-6)))
