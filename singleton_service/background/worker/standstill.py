"""How long something stands still that should go round, told from a number that rises with each round."""

from __future__ import annotations

# Whoever looks may have been held up as well: by native code, a debugger, a laptop's lid. That time counts for nobody.
_MOST_LOOKS = 2


class Standstill:
    """What someone knows who looks at it every *look_every_s* seconds. For one thread that looks; any may read.

    Attributes:
        seconds: how long it has stood still, as far as whoever looks was awake to see it.
    """

    def __init__(self, look_every_s: float) -> None:
        self._most_s = _MOST_LOOKS * look_every_s
        self._rounds = -1
        self._looked_at = 0.0
        self.seconds = 0.0

    def look(self, rounds: int, now: float) -> bool:
        """Whether it has moved since the last look, at *now* (time.monotonic() seconds)."""
        has_moved = rounds != self._rounds
        self.seconds = 0.0 if has_moved else self.seconds + min(now - self._looked_at, self._most_s)
        self._rounds, self._looked_at = rounds, now
        return has_moved
