"""What a person sees: a progress bar on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

console = Console(highlight=False)


class OneLineHandler(logging.Handler):
    """Shows a warning as one line: what happened, and the last line of its traceback, which says why."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record without breaking the progress bar."""
        lines = record.getMessage().strip().splitlines()
        text = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"
        if record.exc_info and record.exc_info[1]:
            text += f": {record.exc_info[1]}"
        console.print(f"  {text}", style="yellow", markup=False, soft_wrap=True)


@dataclass(slots=True)
class Row:
    """One line of the table: one kind of work."""

    work: str
    where: str
    done: int = 0
    kept: int = 0
    retries: int = 0
    failed: int = 0


@contextmanager
def progress(total: int, already: int) -> Iterator[Callable[[str], None]]:
    """Show how many of *total* pieces are done; the block calls what it gets with the name of each."""
    if console.is_terminal:
        columns = TextColumn("{task.description:32.32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            bar_id = bar.add_task("working", total=total, completed=already)
            yield lambda name: bar.update(bar_id, advance=1, description=name)
        return
    done = already

    def line(name: str) -> None:
        nonlocal done
        done += 1
        print(f"  {done:>{len(str(total))}}/{total}  {name}", flush=True)

    yield line


def show_table(rows: list[Row]) -> None:
    """Print what was done and where the results lie."""
    table = Table(title="What was done", title_justify="left")
    table.add_column("Work")
    for heading in ("Done now", "Kept", "Retries", "Failed"):
        table.add_column(heading, justify="right")
    table.add_column("Result", overflow="fold")
    for row in rows:
        failed = f"[bold red]{row.failed}[/]" if row.failed else "0"
        table.add_row(row.work, str(row.done), str(row.kept), str(row.retries), failed, row.where)
    console.print(table)
