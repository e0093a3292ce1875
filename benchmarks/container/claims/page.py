"""The comparison page, read back: each script of this folder finds out what holds, and compares it with its row."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "comparison.md"

COLUMNS = ("singleton-service", "dishka", "wireup", "svcs", "that-depends", "dependency-injector")

YES, PARTLY, NO = "yes", "partly", "no"


def compare(script: str, found: Mapping[str, str]) -> NoReturn:
    """Print what was *found* of each container, and leave with 1 if the page says anything else.

    Args:
        script: The ``__file__`` of who asks; its row of the page links there.
        found: "yes", "partly" or "no" by container.
    """
    name = Path(script).name
    said = _row(name)
    wrong = [column for column in COLUMNS if said.get(column) != found[column]]
    print(f"{'FAILS' if wrong else 'holds'}  {name}: {', '.join(f'{column} {found[column]}' for column in COLUMNS)}")
    for column in wrong:
        print(f"       the page says {said.get(column, 'nothing')!r} of {column}")
    sys.exit(1 if wrong else 0)


def _row(name: str) -> dict[str, str]:
    """Return the first word of each cell in the row that links to the script, by the heading of its column."""
    columns: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not columns and COLUMNS[0] in cells:
            columns = cells
        elif f"/{name})" in line:
            words = (re.match(r"\w*", cell) for cell in cells)
            return dict(zip(columns, (word[0] if word else "" for word in words), strict=False))
    return {}
