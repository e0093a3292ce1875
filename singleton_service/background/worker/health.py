"""What a worker process says of itself, and what goes wrong where it should be said.

RuntimeError
 └─ HealthProbeError     the port or the file for it can't be used
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """How a worker process is.

    Attributes:
        is_live: whether its fetch loop goes round. If not, only another start helps.
        is_ready: whether it takes tasks as well: not before its workers have started, not while the server is away,
            and not any more once they are being stopped.
        reason: why it is not ready, in words; "" when it is.
    """

    is_live: bool
    is_ready: bool
    reason: str = ""

    def __str__(self) -> str:
        return "ready" if self.is_ready else f"not ready: {self.reason}"


class HealthProbeError(RuntimeError):
    """A place where a worker shall tell its health can't be used.

    Attributes:
        setting: the variable that names it.
        place: its value.
        reason: what the operating system said.
        advice: what to try.
    """

    def __init__(self, setting: str, place: str, reason: str, advice: str) -> None:
        super().__init__(setting, place, reason, advice)
        self.setting = setting
        self.place = place
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"health can't be told at {self.place} ({self.setting}): {self.reason}. {self.advice}"
