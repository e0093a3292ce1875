"""A worker with a loop of its own, thread by thread: it knows its fences, and hears of each task whether it counted."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time

from singleton_service.background.task_queue import QueueUnavailableError, Task, TaskQueueService

from .handlers import WarningsToJournal
from .journal import Journal
from .worker import Crew

_AGAIN_AFTER_S = 0.05


class LoopWorker:
    """Takes tasks with get_next_task and ends them with complete_task."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                task = TaskQueueService.get_next_task(timeout=1, queues=["default"])
            except QueueUnavailableError:
                time.sleep(_AGAIN_AFTER_S)
                continue
            if task is not None:
                self._do(task)

    def _do(self, task: Task) -> None:
        number = task.payload["n"]
        fence = task._lease.fence if task._lease else None
        self._journal.write("begin", number, task.id, task.retry_count + 1, fence)
        time.sleep(task.payload["ms"] / 1000)
        self._journal.write("end", number)
        while True:
            try:
                was_ours = TaskQueueService.complete_task(task, number)
            except QueueUnavailableError:
                self._journal.write("unsettled", task.id)
                time.sleep(_AGAIN_AFTER_S)
            else:
                self._journal.write("settled", task.id, was_ours)
                return


def run(crew: Crew) -> None:
    """Work until killed."""
    journal = Journal(crew.journal)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(message)s")
    logging.getLogger().addHandler(WarningsToJournal(journal))
    threads = [threading.Thread(target=LoopWorker(journal).run) for _ in range(crew.threads)]
    for thread in threads:
        thread.start()
    journal.write("up")
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    run(Crew(**json.loads(sys.argv[1])))
