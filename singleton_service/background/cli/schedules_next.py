"""`schedules next`: when an expression would be due, asked of nobody but the calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from singleton_service.background.expressions import ExpressionError, find_zone, parse

from .output import Cell, Column, Table, json_option, note, write_json, write_table
from .problems import CommandError, ExitCode, usage_errors
from .showing import now, relative
from .values import moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from singleton_service.background.expressions import Recurrence

# More words than cron has fields: a shell may have put the names of files there.
_MOST_FIELDS = 5


@click.command("next")
@click.argument("expression", nargs=-1, required=True, metavar="EXPRESSION")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="Whose clock it means.")
@click.option("-n", "number", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many runs.")
@click.option("--after", type=moment, metavar="TIME", help="Begin there: 18:30, 2026-12-24, 2026-12-24T18:30+01:00.")
@json_option
def next_command(
    expression: Sequence[str], timezone: str, number: int, after: datetime | None, *, as_json: bool
) -> None:
    """Print when an expression would be due next.

    Such as: "every monday at 09:00", "*/15 * * * *", "@monthly". Needs no server, and schedules nothing.
    """
    with usage_errors():
        zone = find_zone(timezone)
    recurrence = parsed(expression, timezone)
    runs = recurrence.next_runs(after or now(), number)
    if as_json:
        told = {"expression": recurrence.text, "timezone": timezone, "description": recurrence.describe()}
        write_json(
            {**told, "runs": [{"utc": f"{run:%FT%TZ}", "local": run.astimezone(zone).isoformat()} for run in runs]}
        )
        return
    note(recurrence.describe())
    table = Table([Column("due"), Column("UTC"), Column("when", is_prose=True)])
    for run in runs:
        table.add(f"{run.astimezone(zone):%a %F %T %z}", Cell(f"{run:%FT%TZ}", "dim"), Cell(relative(run), "dim"))
    write_table(table)


def parsed(expression: Sequence[str], timezone: str) -> Recurrence:
    """Return what an expression means that was typed as one word of the command line or as several.

    Raises:
        CommandError: it means nothing.
    """
    try:
        return parse(" ".join(expression), timezone)
    except ExpressionError as error:
        fix = error.neighbour
        if len(expression) > _MOST_FIELDS:
            fix = "Put it in quotes: a shell takes * for the names of files."
        raise CommandError(error.marked, error.rule, fix, code=ExitCode.USAGE) from error
