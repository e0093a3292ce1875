"""`health`: whether there are workers that live, for probes that run a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.worker_ids import this_host
from singleton_service.background.worker import WorkerService
from singleton_service.background.worker.notes import STANDS_STILL, read_notes

from .output import json_option, note, write_json, write_line
from .problems import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singleton_service.background.worker import WorkerInfo


@click.command("health")
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="A queue to be taken from; repeat it for more.")
@click.option("--here", is_flag=True, help="Count the workers of this host alone.")
@json_option
@click.pass_context
def health_command(context: click.Context, queues: Sequence[str], *, here: bool, as_json: bool) -> None:
    """Tell whether the server answers and workers take tasks.

    Ends with 0 if so, with 1 when there is no worker (for one of the queues, if any are named), with 3 when the server
    does not answer. One whose fetch loop stands still does not count.
    """
    workers = [worker for worker in WorkerService.list_workers() if not here or worker.host == this_host()]
    still = _standing_still(workers)
    moving = [worker for worker in workers if worker.id not in still]
    missing = _missing(moving, queues)
    if as_json:
        told = [{**_told(worker), "stands_still": worker.id in still} for worker in workers]
        write_json({"healthy": not missing, "workers": told, "missing": missing})
    elif missing:
        stand = f"; {len(still)} {'stands' if len(still) == 1 else 'stand'} still" if still else ""
        note(f"no worker takes from {', '.join(missing)}{stand}")
    else:
        write_line(f"ok: {len(moving)} worker{'s' if len(moving) > 1 else ''}, {_running(moving)} tasks running")
    context.exit(ExitCode.FAILED if missing else ExitCode.OK)


def _standing_still(workers: list[WorkerInfo]) -> set[str]:
    notes = read_notes(TaskQueueService._open_client(), [worker.id for worker in workers])
    return {worker for worker, troubles in notes.items() if STANDS_STILL in troubles}


def _missing(workers: list[WorkerInfo], queues: Sequence[str]) -> list[str]:
    if not queues:
        return [] if workers else ["any queue"]
    return [queue for queue in queues if not any(queue in worker.queues for worker in workers)]


def _running(workers: list[WorkerInfo]) -> int:
    return sum(worker.tasks_running for worker in workers)


def _told(worker: WorkerInfo) -> dict[str, object]:
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "queues": list(worker.queues),
        "last_heartbeat": worker.last_heartbeat.isoformat(),
        "tasks_running": worker.tasks_running,
    }
