"""`enqueue`: one task into the queue."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from singleton_service.background.task_queue import TaskPriority, TaskQueueService

from .following import follow
from .loading import load_tasks
from .output import json_option, write_json, write_line
from .problems import CommandError, ExitCode, usage_errors
from .values import duration, moment, payload_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@click.command("enqueue")
@click.argument("name")
@click.argument("values", metavar="[KEY=TEXT | KEY:=JSON]...", nargs=-1)
@click.option("--payload", metavar="JSON", help="The payload as a JSON object; values are put on top of it.")
@click.option(
    "--module",
    "-m",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="Where the task is defined: its name and payload are checked, its queue and retries known.",
)
@click.option("--queue", metavar="QUEUE", help="Where to; what the task says, or default, unless given.")
@click.option("--priority", type=click.Choice([each.name.lower() for each in TaskPriority]), help="Within the queue.")
@click.option(
    "--in", "delay", type=duration, metavar="DURATION", help="Not before so long from now, as 90, 10m, 1h30m."
)
@click.option("--at", "eta", type=moment, metavar="TIME", help="Not before then, as 18:30 or 2026-12-24T18:30.")
@click.option("--wait", is_flag=True, help="Follow it to its end, and print its result.")
@click.option("--timeout", type=duration, metavar="DURATION", help="Wait no longer than so long.")
@click.pass_context
@json_option
def enqueue_command(  # noqa: PLR0913 - an option each
    context: click.Context,
    name: str,
    values: Sequence[str],
    payload: str | None,
    modules: Sequence[str],
    queue: str | None,
    priority: str | None,
    delay: float | None,
    eta: datetime | None,
    timeout: float | None,
    *,
    wait: bool,
    as_json: bool,
) -> None:
    """Put a task into the queue and print its id.

    The payload is given as key=text and key:=JSON: to=ada@example.com size:=3.
    """
    if delay is not None and eta is not None:
        raise CommandError("a task can't have both --in and --at", code=ExitCode.USAGE)
    if timeout is not None and not wait:
        raise CommandError("--timeout says how long to wait", fix="say --wait, too", code=ExitCode.USAGE)
    if modules:
        _check_known(name, load_tasks(modules))
    else:
        _check_spelling(name)
    with usage_errors():
        task_id = TaskQueueService.enqueue_task(
            name,
            payload_of(values, payload),
            delay or 0,
            queue=queue,
            priority=None if priority is None else TaskPriority[priority.upper()],
            eta=eta,
        )
    if wait:
        context.exit(follow(task_id, timeout, as_json=as_json, every=False))
    if as_json:
        write_json({"id": task_id})
    else:
        write_line(task_id)


def _check_known(name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise CommandError(
            f"there is no task {name!r}{_hint(name, known)}",
            f"the modules define {', '.join(known) or 'none'}",
            code=ExitCode.NOT_FOUND,
        )


def _check_spelling(name: str) -> None:
    """Refuse a name that no worker has seen lately and that is nearly one that workers have."""
    known = [each for each in TaskQueueService.get_analytics()["by_name"] if not each.startswith("(")]
    if name not in known and (hint := _hint(name, known)):
        raise CommandError(
            f"no worker has done a task {name!r} lately{hint}",
            "a task whose name no worker knows is held, and fails in the end",
            "name the module that defines it with --module, if it is right",
            code=ExitCode.NOT_FOUND,
        )


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f": did you mean {near[0]!r}?" if near else ""
