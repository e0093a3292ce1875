"""`tasks watch`: one task, to its end."""

from __future__ import annotations

import click

from .following import follow
from .output import json_option
from .values import duration


@click.command("watch")
@click.argument("task_id", metavar="ID")
@click.option("--timeout", type=duration, metavar="DURATION", help="Give up after so long, as 30 or 5m.")
@click.pass_context
@json_option
def watch_command(context: click.Context, task_id: str, timeout: float | None, *, as_json: bool) -> None:
    """Follow a task to its end, and print its result.

    With --json a line for each change. The exit code is 1 when the task does not complete.
    """
    context.exit(follow(task_id, timeout, as_json=as_json, every=True))
