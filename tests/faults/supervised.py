"""Worker processes with a supervisor; and one of them, when it has a line to it."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

from singleton_service.background.supervisor import Program, Supervised, Supervisor
from singleton_service.background.supervisor.child import python
from singleton_service.background.task_queue.order import queue_order
from singleton_service.background.worker import WorkerService

from .handlers import Handlers, WarningsToJournal
from .journal import Journal
from .worker import Crew

_NUMBER = 4


def supervise(crew: Crew) -> int:
    """Run several of them until INT or TERM; each journal is beside the given one, `child-PID`."""
    command = (*python(), "-m", "tests.faults.supervised", json.dumps(asdict(crew)))
    return Supervisor([Program("worker", command, _NUMBER)], patience_s=crew.patience_s).run()


def work(crew: Crew, line: Supervised) -> None:
    """Work until the parent says otherwise."""
    journal = Journal(Path(crew.journal).with_name(f"child-{os.getpid()}.journal"))
    logging.getLogger().addHandler(WarningsToJournal(journal))
    Handlers(journal).register()
    WorkerService.start_workers(crew.threads)
    journal.write("up")
    hearing = functools.partial(line.hearing, patience_s=crew.patience_s)
    WorkerService._serve(crew.threads, queue_order(None), hearing, standalone=True)
    journal.write("left")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(message)s")
    order, *rest = sys.argv[1:]
    if rest:
        work(Crew(**json.loads(order)), Supervised(int(rest[-1])))
    else:
        sys.exit(supervise(Crew(**json.loads(order))))
