"""`schedules list`, `show`: what comes again and again, when, and what became of it."""

from __future__ import annotations

import difflib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from singleton_service.background.scheduler import SchedulerService

from .output import Cell, Column, Table, json_option, note, write_json, write_line, write_pairs, write_table
from .problems import CommandError, ExitCode
from .showing import clock, relative, span

if TYPE_CHECKING:
    from collections.abc import Iterator

_OUTCOMES = {"completed": "green", "done": "green", "failed": "red", "skipped": "yellow", "forgotten": "dim"}


@click.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    """List schedules, whoever made them, the next to fire first."""
    jobs = SchedulerService.get_scheduled_jobs()
    if as_json:
        write_json({"schedules": jobs})
        return
    if not jobs:
        note("no schedules")
        return
    numbers = [Column("runs", is_number=True, may_go=True), Column("missed", is_number=True, may_go=True)]
    columns = [Column("id"), Column("task", may_go=True), Column("when"), Column("next"), Column("last"), *numbers]
    table = Table([*columns, Column("state")])
    for job in jobs:
        table.add(
            job["id"],
            job["name"],
            job["description"],
            _how_far(job["next_run"]),
            _how_far(job["last_run"]),
            Cell(f"{job['runs']}", "" if job["runs"] else "dim"),
            Cell(f"{job['missed']}", "yellow" if job["missed"] else "dim"),
            _state(job),
        )
    write_table(table)


@click.command("show")
@click.argument("schedule_id", metavar="ID")
@json_option
def show_command(schedule_id: str, *, as_json: bool) -> None:
    """Show all there is to know of a schedule, with its last fires."""
    job = known_schedule(schedule_id)
    history = SchedulerService.get_job_history(schedule_id)
    runs = [] if job["is_paused"] else SchedulerService.next_runs(schedule_id, 3)
    if as_json:
        write_json({**job, "next_runs": [run.isoformat() for run in runs], "history": history})
        return
    write_pairs([*_told(job), *(("next", clock(run), "") for run in runs)])
    if history:
        write_line("")
        write_table(_history_table(history))


def known_schedule(schedule_id: str) -> dict[str, Any]:
    """Return a schedule as it is listed.

    Raises:
        CommandError: there is none by this id.
    """
    jobs = {job["id"]: job for job in SchedulerService.get_scheduled_jobs()}
    if schedule_id not in jobs:
        near = difflib.get_close_matches(schedule_id, jobs, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise CommandError(
            f"there is no schedule {schedule_id!r}{hint}",
            fix="singleton-service schedules list",
            code=ExitCode.NOT_FOUND,
        )
    return jobs[schedule_id]


def _told(job: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what a schedule has: heading, text, style."""
    yield "id", job["id"], "bold"
    yield "when", f"{job['description']}: {job['expression']}", ""
    state = _state(job)
    yield "state", state.text or "active", state.style
    yield "task", job["name"], ""
    yield "payload", json.dumps(job["payload"], ensure_ascii=False), ""
    if job["queue"] is not None:
        yield "queue", job["queue"], ""
    yield "runs", f"{job['runs']:,}" + (f" of {job['max_runs']:,}" if job["max_runs"] is not None else ""), ""
    yield "missed", f"{job['missed']:,}", "yellow" if job["missed"] else ""
    yield (
        "if missed",
        {"one": "the latest is fired", "all": "each is fired", "skip": "left out"}[job["missed_policy"]],
        "",
    )
    yield "overlap", job["overlap"], ""
    if job["jitter_seconds"]:
        yield "jitter", f"up to {span(job['jitter_seconds'])}", ""
    moments = (("not before", "start_at"), ("not after", "until"), ("last run", "last_run"))
    yield from ((heading, clock(_moment(job[key])), "") for heading, key in moments if job[key] is not None)
    if job["last_task_id"]:
        yield "last task", job["last_task_id"], ""


def _history_table(history: list[dict[str, Any]]) -> Table:
    table = Table([Column("scheduled for"), Column("late", is_number=True), Column("outcome"), Column("task")])
    for fire in history:
        late = "by hand" if fire["by_hand"] else span(fire["lateness_seconds"])
        outcome = fire["outcome"]
        table.add(
            clock(_moment(fire["scheduled_for"])),
            late,
            Cell(outcome, _OUTCOMES.get(outcome, "")),
            fire["task_id"] or "",
        )
    return table


def _state(job: dict[str, Any]) -> Cell:
    words = ["paused"] if job["is_paused"] else [] if job["next_run"] else ["over"]
    words += ["declared in code"] if job["is_declared"] else []
    return Cell(", ".join(words), "yellow" if job["is_paused"] else "dim")


def _how_far(when: str | None) -> str:
    return "" if when is None else relative(_moment(when))


def _moment(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
