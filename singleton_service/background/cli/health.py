"""`health`: whether there are workers that live, for probes that run a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.worker_ids import this_host
from singleton_service.background.worker import WorkerService

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
    does not answer. A worker whose fetch loop stands still is told by its own page and file: TASKS_HEALTH_PORT,
    TASKS_HEALTH_FILE.
    """
    TaskQueueService.server_url()
    workers = [worker for worker in WorkerService.list_workers() if not here or worker.host == this_host()]
    missing = _missing(workers, queues)
    if as_json:
        write_json({"healthy": not missing, "workers": [_told(worker) for worker in workers], "missing": missing})
    elif missing:
        note(f"no worker takes from {', '.join(missing)}")
    else:
        write_line(f"ok: {len(workers)} worker{'s' if len(workers) > 1 else ''}, {_running(workers)} tasks running")
    context.exit(ExitCode.FAILED if missing else ExitCode.OK)


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
