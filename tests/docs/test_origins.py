"""Every behaviour that users were promised has its row, and each row is true."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import services.config
import services.fastapi
import services.scheduler
import services.task_queue
import services.testing
import services.worker
import singleton_service
from singleton_service import exceptions

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "origins.md"
COUNTS = {"S0": 34, "S1": 29, "S2": 14, "S3": 20, "S4": 23, "B": 39, "F": 12, "E": 17, "P": 12, "O": 8, "C": 5, "K": 9}
HERE = "docs/test_origins.py::test_a_row_names_what_exists"
WITHOUT_TEST = ("planned: ", "documentation only: ")
HOMES = [
    services.config,
    services.task_queue,
    services.worker,
    services.scheduler,
    services.fastapi,
    services.testing,
    singleton_service,
    exceptions,
]
API_NAME = re.compile(r"`([A-Z]\w*(?:Service|Error|Task|Handle|Status|Priority))(?:\.(\w+))?(?:\(.*?\))?`")


@dataclass(frozen=True)
class Row:
    id: str
    behaviour: str
    here: str
    tests: list[str]
    pages: list[str]


def read_rows(text: str) -> list[Row]:
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if re.fullmatch(r"(S\d-\d\d|[BFE]\d\d|[POCK]\d+)", cells[0].strip()):
            assert len(cells) == 5, line
            names = re.findall(r"`([^`]+)`", cells[3])
            rows.append(Row(cells[0].strip(), cells[1], cells[2], names, re.findall(r"\]\(([^)#]+)", cells[4])))
    return rows


def wanted_ids() -> list[str]:
    def spell(system: str, number: int) -> str:
        if system.startswith("S"):
            return f"{system}-{number:02}"
        return f"{system}{number:02}" if system in "BFE" else f"{system}{number}"

    return [spell(system, number) for system, count in COUNTS.items() for number in range(1, count + 1)]


def problems(row: Row) -> list[str]:
    """Return what is not true of a row."""
    found = []
    if row.here.startswith(WITHOUT_TEST):
        reason = row.here.split(": ", 1)[1]
        found += [] if len(reason) > 3 else ["says no reason"]
        names = API_NAME.findall(reason.split(";")[0]) if row.here.startswith("planned") else []
        return found + [f"{'.'.join(name)} is built: complete the row" for name in names if name_exists(*name)]
    if not row.here.strip("- "):
        found.append("names nothing of ours")
    if not row.tests:
        found.append("names no test")
    if not row.pages:
        found.append("names no page")
    found += [f"test {name} does not exist" for name in row.tests if not is_a_test(name)]
    found += [f"page {page} does not exist" for page in row.pages if not (PAGE.parent / page).is_file()]
    found += [f"{name} does not exist" for name in API_NAME.findall(row.here) if not name_exists(*name)]
    return found


def is_a_test(name: str) -> bool:
    path, _, function = name.partition("::")
    return function in functions_of(ROOT / "tests" / path)


@functools.cache
def functions_of(file: Path) -> set[str]:
    if not file.is_file():
        return set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def name_exists(name: str, attribute: str) -> bool:
    homes: list[Any] = [home for home in HOMES if hasattr(home, name)]
    if not homes:
        return False
    thing = getattr(homes[0], name)
    return not attribute or hasattr(thing, attribute) or attribute in getattr(thing, "__slots__", ())


ROWS = read_rows(PAGE.read_text(encoding="utf-8"))


def test_every_id_has_one_row_and_no_row_is_made_up() -> None:
    assert [row.id for row in ROWS] == wanted_ids()


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_a_row_names_what_exists(row: Row) -> None:
    assert problems(row) == []


@pytest.mark.parametrize(
    "line",
    [
        "| B01 | a trap | `Task` | - | [page](origins.md) |",
        "| B01 | a trap | `Task` | `contract/test_queue.py::test_no_such_thing` | [page](origins.md) |",
        f"| B01 | a trap | `Task` | `{HERE}` | [page](nowhere.md) |",
        f"| B01 | a trap | `Task` | `{HERE}` | - |",
        f"| B01 | a trap | `WorkerService.fly()` | `{HERE}` | [p](origins.md) |",
        f"| B01 | a trap | `ButlerService` | `{HERE}` | [page](origins.md) |",
        "| B01 | a trap | planned: - | - | - |",
        "| B01 | a trap | planned: `WorkerService.start_workers()` | - | - |",
    ],
)
def test_a_row_that_is_not_true_is_found(line: str) -> None:
    (row,) = read_rows(line)

    assert problems(row)
