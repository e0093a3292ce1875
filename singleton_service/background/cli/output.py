"""What a command prints: data on stdout, as JSON, or for people; colours and frames on a terminal only.

A pipe gets a table of plain words, one row a line and nothing cut off, so that `grep` and `awk` find their way.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.table import Table as RichTable

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Cell(NamedTuple):
    """A value of a table, and how a terminal shows it: a style as rich has them."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        is_number: whether it is set to the right.
        may_go: whether a narrow terminal does without it; those further right go first.
        is_whole: whether a terminal never breaks it: what somebody copies.
    """

    name: str
    is_number: bool = False
    may_go: bool = False
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people."""

    columns: Sequence[Column]
    rows: list[Sequence[Cell]] = field(default_factory=list)

    def add(self, *cells: Cell | str | int) -> None:
        """Add a row, a cell for each column."""
        self.rows.append([cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in cells])


def is_terminal() -> bool:
    """Whether stdout is a terminal that can do more than print one line after another."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def terminal() -> Console:
    """Return stdout as a rich console; NO_COLOR and COLUMNS count."""
    from rich.console import Console  # noqa: PLC0415 - heavy, and nothing for a pipe

    return Console(highlight=False, emoji=False, markup=False)


def write_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n")


def write_json_line(value: Any) -> None:
    """Print one JSON value on a line of its own, at once: one of several that come as time goes on."""
    sys.stdout.write(f"{json.dumps(value, ensure_ascii=False)}\n")
    sys.stdout.flush()


def write_line(text: str) -> None:
    """Print a line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say on stderr what is no data."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def write_table(table: Table) -> None:
    """Print a table: as rich draws it on a terminal, else as plain lines."""
    if is_terminal():
        console = terminal()
        console.print(drawn(table, console.width))
    else:
        sys.stdout.writelines(f"{line}\n" for line in plain_lines(table))


def plain_lines(table: Table) -> Iterator[str]:
    """Yield the heading and the rows, one line each whatever is in them."""
    lines = [[column.name.upper() for column in table.columns]]
    lines += [[" ".join(cell.text.split()) or "-" for cell in row] for row in table.rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(table.columns))]
    for line in lines:
        cells = [
            text.rjust(width) if column.is_number else text.ljust(width)
            for text, width, column in zip(line, widths, table.columns, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def drawn(table: Table, width: int) -> RichTable:
    """Return a table as rich draws it in *width* columns: what may go goes if it is too narrow for all."""
    from rich.table import Table as RichTable  # noqa: PLC0415 - as in terminal()
    from rich.text import Text  # noqa: PLC0415 - as above

    shown = _shown(table, width)
    made = RichTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for n in shown:
        column = table.columns[n]
        made.add_column(
            column.name,
            justify="right" if column.is_number else "left",
            no_wrap=column.is_whole or column.is_number,
            overflow="fold" if column.is_whole else "ellipsis",
        )
    for row in table.rows:
        made.add_row(*(Text(row[n].text, row[n].style) for n in shown))
    return made


def _shown(table: Table, width: int) -> list[int]:
    shown = list(range(len(table.columns)))
    widths = [
        max(map(len, [column.name, *(row[n].text for row in table.rows)])) for n, column in enumerate(table.columns)
    ]
    for n in reversed(range(len(table.columns))):
        if sum(min(widths[each], 40) + 2 for each in shown) <= width + 2:
            break
        if table.columns[n].may_go:
            shown.remove(n)
    return shown


def write_pairs(pairs: Sequence[tuple[str, str, str]]) -> None:
    """Print a line for each heading and its text; a terminal has the text in the third of them, a style."""
    width = max(len(heading) for heading, _, _ in pairs)
    if not is_terminal():
        sys.stdout.writelines(f"{heading.ljust(width)}  {text}\n" for heading, text, _ in pairs)
        return
    from rich.table import Table as RichTable  # noqa: PLC0415 - as in terminal()
    from rich.text import Text  # noqa: PLC0415 - as above

    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for heading, text, style in pairs:
        grid.add_row(heading, Text(text, style))
    terminal().print(grid)
