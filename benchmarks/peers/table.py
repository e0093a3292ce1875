"""Tables, of Markdown that can be read as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figures import BARE, TABLES, cell, medians, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .killing import Aftermath


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned table; all columns but the first stand to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cells[0].ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(cells[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def tables(figures: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, str]]:
    """Yield each table with its title: contestants down, measures across.

    Peers are compared with the first one, or where it has no such figure, with the next of its family: those with the
    same name before the comma. These are compared with nobody.
    """
    family = next(iter(figures), "").partition(",")[0]
    reference: Mapping[str, float] = {}
    for name, own in figures.items():
        if name.partition(",")[0] == family:
            reference = {**own, **reference}
    for title, measures in TABLES.items():
        if not any(measure.key in own for measure in measures for own in figures.values()):
            continue
        rows = []
        for name, own in figures.items():
            if not any(measure.key in own for measure in measures):
                continue
            ours = {} if name.partition(",")[0] == family else reference
            cells = [cell(measure, own.get(measure.key), ours.get(measure.key)) for measure in measures]
            rows.append([name, *cells])
        yield title, table(["", *(measure.title for measure in measures)], rows)


def aftermaths(killed: Mapping[str, Aftermath]) -> str:
    """Return the table of what kill -9 left."""
    rows = []
    for name, after in killed.items():
        when = "-"
        if after.first_s is not None and after.last_s is not None:
            when = f"{after.first_s:.1f} to {after.last_s:.1f}"
        rows.append([name, f"{after.again} of {after.under_way}", when, f"{after.waiting_ran} of {after.waiting}"])
    return table(["", "under way: ran again", "after, s", "waiting: ran"], rows)


def bare_table(moments: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of what the machine allowed at each moment of a run, and of the medians."""
    found = [*moments.values(), medians(moments.values())]
    rows = [[measure.title, *(shown(measure, each.get(measure.key)) for each in found)] for measure in BARE]
    return table(["", *moments, "median"], rows)


def depth_table(depth: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of µs of server time a task, by how many are queued."""
    verbs = next(iter(depth.values()))
    rows = []
    for verb in verbs:
        values = [costs[verb] for costs in depth.values()]
        rows.append([verb, *(f"{value:.2f}" for value in values), f"{max(values) / min(values):.2f}x"])
    return table(["", *(f"{int(number):,} queued" for number in depth), "most over least"], rows)
