"""A worker process as applications have them."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass

from singleton_service.background.worker import WorkerService

from .handlers import Handlers, WarningsToJournal
from .journal import Journal


@dataclass(frozen=True, slots=True)
class Crew:
    """Which worker to be. `patience_s`: how long running tasks have after a TERM."""

    journal: str
    threads: int = 4
    patience_s: float = 30


def run(crew: Crew) -> None:
    """Work until INT or TERM."""
    journal = Journal(crew.journal)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(message)s")
    logging.getLogger().addHandler(WarningsToJournal(journal))
    Handlers(journal).register()
    WorkerService.start_workers(crew.threads)
    journal.write("up")
    cut_off = WorkerService.run_forever(crew.threads, timeout=crew.patience_s)
    journal.write("left", cut_off)


if __name__ == "__main__":
    run(Crew(**json.loads(sys.argv[1])))
