"""How far a run has come, and how long the rest of it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# (what is measured, of whom)
Step = tuple[str, str]


class Progress:
    """Estimates from what has been done. A step that comes again takes what it took; the others begin with a guess."""

    def __init__(self, steps: Sequence[Step], guesses_s: dict[str, float]) -> None:
        """Begin.

        Args:
            steps: all there is to do, each as often as it is done.
            guesses_s: what one of each kind takes, about.
        """
        self._left = list(steps)
        self._number = len(steps)
        self._guesses_s = guesses_s
        self._took_s: dict[Step, float] = {}

    def done(self, step: Step, seconds: float) -> str:
        """Note that a step is done, and say how far it is."""
        self._left.remove(step)
        self._took_s[step] = seconds
        return f"{self._number - len(self._left)}/{self._number}, {_minutes(self.left_s)} left"

    @property
    def left_s(self) -> float:
        """How long the rest takes."""
        guessed = sum(self._guesses_s[kind] for kind, _ in self._took_s)
        # A machine that is half as fast as the one of the guesses is so in what comes, too.
        factor = sum(self._took_s.values()) / guessed if guessed else 1.0
        return sum(self._took_s.get(step, self._guesses_s[step[0]] * factor) for step in self._left)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
