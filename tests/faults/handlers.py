"""What the workers of a scenario do: each handler writes a line when it begins and one when it ends."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from singleton_service.background import task_queue
from singleton_service.background.task_queue import TaskQueueService

if TYPE_CHECKING:
    from .journal import Journal


class Handlers:
    """Handlers that keep a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def register(self) -> None:
        """Make them known to this process."""
        for name in ("work", "crash"):
            TaskQueueService.register_handler(name, getattr(self, name), retry_delay_seconds=0)

    def work(self, payload: dict[str, Any]) -> int:
        """Take the time that the payload says."""
        number: int = payload["n"]
        self._journal.write("begin", number, *_which_attempt())
        time.sleep(payload["ms"] / 1000)
        self._journal.write("end", number)
        return number

    def crash(self, payload: dict[str, Any]) -> None:
        """Take the whole process down, after the time that the payload says."""
        self._journal.write("begin", payload["n"], *_which_attempt())
        time.sleep(payload["ms"] / 1000)
        self._journal.write("crash", payload["n"])
        os.kill(os.getpid(), signal.SIGKILL)


def _which_attempt() -> tuple[Any, ...]:
    """Return id, attempt and fence, where the package tells its handlers."""
    current_task = getattr(task_queue, "current_task", None)
    if current_task is None:
        return ()
    current = current_task()
    return current.id, current.attempt, current.fence


class WarningsToJournal(logging.Handler):
    """Writes each warning of this process into its journal: what a scenario's evidence is taken from."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._journal.write("warning", record.msg, record.getMessage())
