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

from .problems import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console
    from rich.text import Text

_GAP = "  "
# Prose in a column narrower than this is better off on a line of its own.
_LEAST_PROSE = 30

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
        is_prose: whether a terminal may cut it off, and set it below its row where there is little room. The last one.
    """

    name: str
    is_number: bool = False
    may_go: bool = False
    is_prose: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people."""

    columns: Sequence[Column]
    rows: list[Sequence[Cell]] = field(default_factory=list)

    def add(self, *cells: Cell | str | int) -> None:
        """Add a row, a cell for each column."""
        row = [cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in cells]
        self.rows.append([Cell(printable(" ".join(cell.text.split())), cell.style) for cell in row])


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
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say on stderr what is no data."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def write_table(table: Table) -> None:
    """Print a table: in colours and as wide as the terminal is, or as plain lines."""
    if is_terminal():
        console = terminal()
        console.print(drawn(table, console.width))
    else:
        sys.stdout.writelines(f"{line}\n" for line in plain_lines(table))


def plain_lines(table: Table) -> Iterator[str]:
    """Yield the heading and the rows, one line each whatever is in them."""
    rows = [[Cell(column.name.upper()) for column in table.columns]]
    rows += [[Cell(cell.text or "-") for cell in row] for row in table.rows]
    widths = _widths(rows, len)
    for row in rows:
        yield _GAP.join(_set(*each, len) for each in zip(row, widths, table.columns, strict=True)).rstrip()


def drawn(table: Table, width: int) -> Text:
    """Return a table as a terminal of this width shows it, no row wider: what may go, goes; prose is cut off."""
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - as in terminal()
    from rich.text import Text  # noqa: PLC0415 - as above

    def cut(text: str, most: int) -> str:
        return text if cell_len(text) <= most else f"{set_cell_size(text, most - 1)}…"

    columns = list(table.columns)
    rows = [[Cell(column.name, "bold") for column in columns], *table.rows]
    prose = columns[-1].is_prose
    for n in reversed(range(len(columns))):
        if _full_width(rows, cell_len, prose=prose) <= width:
            break
        if columns[n].may_go:
            del columns[n]
            rows = [[*row[:n], *row[n + 1 :]] for row in rows]
    room = width - _full_width([row[: len(columns) - prose] for row in rows], cell_len, prose=False) - len(_GAP)
    is_below = prose and room < _LEAST_PROSE
    widths = _widths(rows, cell_len)
    shown = Text(no_wrap=True, overflow="ellipsis")
    for number, row in enumerate(rows):
        for n, (cell, cell_width, column) in enumerate(zip(row, widths, columns, strict=True)):
            if column.is_prose and is_below:
                if number and cell.text:
                    shown.append(f"\n{_GAP}{cut(cell.text, width - len(_GAP))}", cell.style or "dim")
            else:
                text = cut(cell.text, room) if column.is_prose else _set(cell, cell_width, column, cell_len)
                shown.append(f"{_GAP if n else ''}{text}", cell.style)
        shown.append("\n")
    shown.right_crop(1)
    return shown


def _widths(rows: Sequence[Sequence[Cell]], measure: Callable[[str], int]) -> list[int]:
    return [max(measure(cell.text) for cell in column) for column in zip(*rows, strict=True)]


def _full_width(rows: Sequence[Sequence[Cell]], measure: Callable[[str], int], *, prose: bool) -> int:
    """Return how wide rows are; of prose, as much as is worth showing."""
    widths = _widths(rows, measure)
    if prose:
        widths[-1] = min(widths[-1], _LEAST_PROSE)
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _set(cell: Cell, width: int, column: Column, measure: Callable[[str], int]) -> str:
    room = " " * (width - measure(cell.text))
    return f"{room}{cell.text}" if column.is_number else f"{cell.text}{room}"


def write_pairs(pairs: Sequence[tuple[str, str, str]]) -> None:
    """Print a line for each heading and its text; a terminal has the text in the third of them, a style."""
    pairs = [(heading, printable(text), style) for heading, text, style in pairs]
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
