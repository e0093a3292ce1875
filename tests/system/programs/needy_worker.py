"""A worker whose task needs two services, the second of which takes its time to start."""

from __future__ import annotations

import logging
import os
import sys
import time

from services.task_queue import TaskHandler
from services.worker import WorkerService
from singleton_service import BaseService, requires

START_S = float(sys.argv[1])


def say(word: str, who: str) -> None:
    """Leave a line in the log, in the form of all handlers of these tests."""
    with open(os.environ["TEST_LOG"], "ab", buffering=0) as log:  # noqa: PTH123 - one write, one line
        log.write(f"{word} {who} {os.getpid()}\n".encode())


class Store(BaseService):
    """The first one to start, and the last to stop."""

    @classmethod
    def initialize(cls) -> None:
        """Say so."""
        say("up", "Store")

    @classmethod
    def shutdown(cls) -> None:
        """Say so."""
        say("down", "Store")


@requires(Store)
class Mail(BaseService):
    """Started between the two others."""

    @classmethod
    def initialize(cls) -> None:
        """Say so, and take some time."""
        say("starts", "Mail")
        time.sleep(START_S)
        say("up", "Mail")

    @classmethod
    def shutdown(cls) -> None:
        """Say so."""
        say("down", "Mail")


@requires(Mail)
class Post(TaskHandler):
    """The task."""

    @classmethod
    def perform(cls, n: int, seconds: float) -> None:
        """Take some time."""
        say("begin", str(n))
        time.sleep(seconds)
        say("end", str(n))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print("cut off", WorkerService.run_forever(2), flush=True)
