"""One warning when the server goes away, one line when it is back, and how long to wait in between."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import QueueUnavailableError

logger = logging.getLogger("singleton_service.task_queue")

_FIRST_WAIT_S = 0.05
# Whoever waits for a server notices within this that it is back: work stands still for no longer.
_LONGEST_WAIT_S = 0.8


class Outage:
    """What this process knows of the server's absence. Thread-safe: many threads notice, one line is logged.

    Attributes:
        error: why the server was found away last; None while it answers.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.error: QueueUnavailableError | None = None

    @property
    def is_on(self) -> bool:
        """Whether the server has not answered since somebody noticed that it does not."""
        return self.error is not None

    def noticed(self, error: QueueUnavailableError) -> None:
        """Warn, if nobody has yet."""
        with self._lock:
            first, self.error = self.error is None, error
        if first:
            logger.warning("%s Trying again until it is back.", error)

    def over(self) -> None:
        """Say that the server answers again, if it had not."""
        if self.error is not None:
            with self._lock:
                last, self.error = self.error, None
            if last is not None:
                logger.info("The task queue's server answers again.")


def backoff_s(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: doubling from 50 ms to 0.8 s, spread by half.

    The spread keeps a hundred workers from knocking at the same moment when a server comes back.
    """
    ceiling_s: float = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(failures, 20))
    return ceiling_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreading load, not keeping secrets
