"""A program with signal handlers and an exit status of its own, whose workers run in a thread."""

from __future__ import annotations

import signal
import sys
import threading
from queue import SimpleQueue

from services.worker import WorkerService
from tests.system.programs.hosts import hosted  # noqa: F401 - registers the handler

told: SimpleQueue[int] = SimpleQueue()


def on_signal(number: int, _frame: object) -> None:
    """Tell the main thread."""
    told.put(number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, on_signal)
    thread = threading.Thread(target=WorkerService.run_forever, args=(2,))
    thread.start()
    told.get()
    cut_off = WorkerService.stop_workers()
    thread.join()
    sys.exit(40 + cut_off)
