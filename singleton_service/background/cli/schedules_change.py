"""`schedules add`, `pause`, `resume`, `run`, `remove`: from any shell, for every process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click

from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.scheduler.definition import Missed, Overlap

from .choosing import confirm, yes_option
from .output import json_option, note, write_json, write_line
from .problems import CommandError, ExitCode, usage_errors
from .schedules_look import known_schedule
from .schedules_next import parsed
from .showing import clock
from .values import duration, moment, payload_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@click.command("add")
@click.argument("name")
@click.argument("expression")
@click.argument("values", metavar="[KEY=TEXT | KEY:=JSON]...", nargs=-1)
@click.option("--payload", metavar="JSON", help="The payload as a JSON object; values are put on top of it.")
@click.option("--id", "schedule_id", metavar="ID", help="Made of all the rest unless given.")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="Whose clock EXPRESSION means.")
@click.option("--queue", metavar="QUEUE", help="Where its tasks go; default, unless given.")
@click.option("--start-at", type=moment, metavar="TIME", help="Not before, as 18:30, 2026-12-24T18:30.")
@click.option("--until", type=moment, metavar="TIME", help="Not after.")
@click.option("--max-runs", type=int, metavar="N", help="Over after so many tasks.")
@click.option(
    "--missed", type=click.Choice(get_args(Missed)), default="one", show_default=True, help="What nobody fired."
)
@click.option(
    "--overlap", type=click.Choice(get_args(Overlap)), default="allow", show_default=True, help="Side by side?"
)
@click.option("--jitter", type=duration, default="0", metavar="DURATION", help="Start each up to so much later.")
@json_option
def add_command(  # noqa: PLR0913 - an option each
    name: str,
    expression: str,
    values: Sequence[str],
    payload: str | None,
    schedule_id: str | None,
    timezone: str,
    queue: str | None,
    start_at: datetime | None,
    until: datetime | None,
    max_runs: int | None,
    missed: Missed,
    overlap: Overlap,
    jitter: float,
    *,
    as_json: bool,
) -> None:
    """Have a task done again and again, and print the schedule's id.

    As in: schedules add report "every monday at 09:00" kind=sales --timezone Europe/Berlin. Schedulers fire it.
    """
    with usage_errors():
        recurrence = parsed([expression], timezone)
        made = SchedulerService.schedule_task(
            name,
            payload_of(values, payload),
            recurrence.text,
            id=schedule_id,
            timezone=timezone,
            queue=queue,
            start_at=start_at,
            until=until,
            max_runs=max_runs,
            missed=missed,
            overlap=overlap,
            jitter_seconds=jitter,
        )
    if as_json:
        write_json({"id": made})
        return
    write_line(made)
    runs = SchedulerService.next_runs(made, 1)
    note(f"{recurrence.describe()}, next {clock(runs[0])}" if runs else f"{recurrence.describe()}, over already")


@click.command("pause")
@click.argument("schedule_id", metavar="ID")
@json_option
def pause_command(schedule_id: str, *, as_json: bool) -> None:
    """Fire a schedule no more until it is resumed.

    It stays paused when programs start and when code declares it anew.
    """
    was_paused = known_schedule(schedule_id)["is_paused"]
    SchedulerService.pause_job(schedule_id)
    _tell(schedule_id, "was paused already" if was_paused else "is paused", as_json=as_json, changed=not was_paused)


@click.command("resume")
@click.argument("schedule_id", metavar="ID")
@json_option
def resume_command(schedule_id: str, *, as_json: bool) -> None:
    """Have a paused schedule go on with its next instant."""
    was_paused = known_schedule(schedule_id)["is_paused"]
    SchedulerService.resume_job(schedule_id)
    _tell(schedule_id, "goes on" if was_paused else "was not paused", as_json=as_json, changed=was_paused)


@click.command("run")
@click.argument("schedule_id", metavar="ID")
@json_option
def run_command(schedule_id: str, *, as_json: bool) -> None:
    """Fire a schedule now, paused or not, and print the task's id."""
    known_schedule(schedule_id)
    task_id = SchedulerService.run_now(schedule_id)
    if as_json:
        write_json({"id": task_id})
    elif task_id is None:
        note(f"schedule {schedule_id!r} has no task: this process has done it")
    else:
        write_line(task_id)


@click.command("remove")
@click.argument("schedule_id", metavar="ID")
@yes_option
@json_option
def remove_command(schedule_id: str, *, yes: bool, as_json: bool) -> None:
    """End a schedule everywhere; its tasks stay.

    One that code declares comes back when a program with that code starts its scheduler.
    """
    job = known_schedule(schedule_id)
    confirm(f"Remove schedule {schedule_id!r} ({job['description']})?", yes=yes)
    if not SchedulerService.unschedule(schedule_id):
        raise CommandError(f"somebody else removed schedule {schedule_id!r}", code=ExitCode.NOT_FOUND)
    if job["is_declared"]:
        note("code declares it: it comes back when a program with that code starts its scheduler; to end it, pause it")
    _tell(schedule_id, "is removed", as_json=as_json, changed=True)


def _tell(schedule_id: str, what: str, *, as_json: bool, changed: bool) -> None:
    told: dict[str, Any] = {"id": schedule_id, "changed": changed}
    if as_json:
        write_json(told)
    else:
        write_line(f"schedule {schedule_id!r} {what}")
