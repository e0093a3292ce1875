"""`status`: queues, workers and what failed lately, on one screen; once, or as it changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from singleton_service.background.config import settings_in_force
from singleton_service.background.task_queue import QueueUnavailableError

from .failed import failures_table
from .output import (
    Column,
    Table,
    drawn,
    is_terminal,
    json_option,
    note,
    plain_lines,
    terminal,
    write_json,
    write_json_line,
    write_line,
)
from .overview import Overview, look
from .problems import CommandError, ExitCode
from .queues import queues_table
from .showing import relative, server_text
from .values import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

# A server has other things to do.
_LEAST_INTERVAL_S = 0.05
_AWAY = "The server does not answer; looking again until it does."


@click.command("status")
@click.option("--watch", "-w", is_flag=True, help="Go on, and show what changes, until Ctrl-C.")
@click.option(
    "--interval", type=duration, default="1s", show_default=True, metavar="DURATION", help="How often to look."
)
@json_option
def status_command(interval: float, *, watch: bool, as_json: bool) -> None:
    """Show queues, workers and what failed lately.

    With --watch the screen is kept up to date; a pipe gets a line for each change, with --json the whole on a line.
    """
    if interval < _LEAST_INTERVAL_S:
        raise CommandError(f"--interval is at least {_LEAST_INTERVAL_S * 1000:g}ms", code=ExitCode.USAGE)
    if not watch:
        _write(look(), as_json=as_json)
    elif is_terminal() and not as_json:
        _keep_up(interval)
    else:
        _write_changes(interval, as_json=as_json)


def _write(overview: Overview, *, as_json: bool) -> None:
    if as_json:
        write_json(overview.as_json())
    elif is_terminal():
        console = terminal()
        console.print(screen(overview, _server(), console.width))
    else:
        write_line(_headline(overview, _server()))
        for heading, table, without in _parts(overview):
            write_line(f"\n{heading}")
            for line in plain_lines(table) if table.rows else (without,):
                write_line(line)


def _write_changes(interval_s: float, *, as_json: bool) -> None:
    before: Overview | None = None
    for overview in _looks(interval_s, lambda: note(_AWAY)):
        lines = list(overview.changes_since(before))
        if as_json and (lines or before is None):
            write_json_line(overview.as_json())
        elif not as_json:
            for line in lines:
                write_line(f"{overview.at.astimezone():%H:%M:%S} {line}")
        before = overview


def _keep_up(interval_s: float) -> None:
    from rich.console import Group  # noqa: PLC0415 - heavy, and for terminals alone
    from rich.live import Live  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    console = terminal()
    last: RenderableType = ""
    with Live(console=console, auto_refresh=False) as live:

        def tell_away() -> None:
            live.update(Group(last, Text(f"\n{_AWAY}", "red")), refresh=True)

        for overview in _looks(interval_s, tell_away):
            last = screen(overview, _server(), console.width)
            live.update(last, refresh=True)


def _looks(interval_s: float, tell_away: Callable[[], object]) -> Iterator[Overview]:
    """Look again and again; tell once when the server goes away, but for the first time raise it."""
    yield look()
    is_away = False
    while True:
        time.sleep(interval_s)
        try:
            overview = look()
        except QueueUnavailableError:
            if not is_away:
                tell_away()
            is_away = True
            continue
        is_away = False
        yield overview


def screen(overview: Overview, server: str, width: int) -> RenderableType:
    """Return all of it as a terminal of this width shows it; *server* says where it is."""
    from rich.console import Group  # noqa: PLC0415 - as in _keep_up()
    from rich.text import Text  # noqa: PLC0415 - as above

    parts: list[RenderableType] = [Text(_headline(overview, server), "dim")]
    for heading, table, without in _parts(overview):
        parts.append(Text(f"\n{heading}", "bold underline"))
        parts.append(drawn(table, width) if table.rows else Text(without, "dim"))
    return Group(*parts)


def _server() -> str:
    return server_text(settings_in_force())


def _headline(overview: Overview, server: str) -> str:
    minute = overview.last_minute
    return (
        f"{overview.at.astimezone():%H:%M:%S}  {server}\nlast whole minute: {minute['enqueued']:,} enqueued, "
        f"{minute['completed']:,} completed, {minute['failed']:,} failed, {minute['retried']:,} retried"
    )


def _parts(overview: Overview) -> Iterator[tuple[str, Table, str]]:
    """Yield heading and table of each part, and what to say when there is nothing in it."""
    yield "Queues", queues_table(overview.queues), "none yet: they come with their first task"
    yield "Workers", _workers_table(overview), "none: tasks wait for one, as singleton-service worker MODULE starts it"
    yield "Failed lately", failures_table(overview.failures), "none"


def _workers_table(overview: Overview) -> Table:
    table = Table(
        [
            Column("worker"),
            Column("running", is_number=True),
            Column("in hand", is_number=True),
            Column("seen", is_number=True),
            Column("started", is_number=True, may_go=True),
            Column("queues", is_prose=True),
        ]
    )
    for worker in overview.workers:
        started = relative(worker.started_at) if worker.started_at else ""
        table.add(
            f"{worker.host}:{worker.pid}",
            worker.tasks_running,
            worker.tasks_held,
            relative(worker.last_heartbeat),
            started,
            ", ".join(worker.queues),
        )
    return table
