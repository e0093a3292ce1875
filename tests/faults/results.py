"""The page of results: figures of one run, and of which machine."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rig import Report, Size

_INTRODUCTION = """\
# What the faults did

Written by `make faults`; don't edit. Producers, workers and servers are processes of their own here, each keeps a
journal, and at the end every task is accounted for in the manner of Jepsen's total-queue. A scenario fails when
something acknowledged is lost, something unexpected turns up, an end counts twice, work stands still for longer than
the fault and a second, *or the fault did not bite*. The code is in `tests/faults/`; each heading is a name for
`python -m tests.faults NAME`.
"""

_LEGEND = """\
- **attempted**, **acknowledged**: given to an enqueue; whose enqueue returned.
- **unknown**, **recovered**: whose enqueue raised; of those, how many were in the queue all the same.
- **lost**: acknowledged and never done. **unexpected**: never attempted, or there more than once.
- **runs twice**: begun again, each time counted: at least once is the promise. **ends twice**: ends that counted
  beyond the first.
"""


def write_results(path: Path, size: Size, reports: Sequence[Report]) -> None:
    """Write the page."""
    servers = sorted({report.server for report in reports if report.server})
    machine = f"{_processor()}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    lines = [
        _INTRODUCTION,
        f"Machine: {machine}, redis-py {version('redis')}. Servers: {', '.join(servers)}.",
        f"Size: {size.tasks:,} tasks or more for each, lease {size.lease_s:g} s, seed {size.seed}.",
        "",
        "| Scenario | attempted | acknowledged | unknown | recovered | lost | unexpected | runs twice | ends twice |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *map(_row, reports),
        "",
        _LEGEND,
    ]
    for report in reports:
        lines += [f"## {report.name}", "", report.about, "", *_figures(report), ""]
        if report.picture:
            lines += ["Tasks ended, over time:", "", "```text", report.picture, "```", ""]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _row(report: Report) -> str:
    verdict = report.verdict
    if verdict is None:
        return f"| {report.name} | came to no end | | | | | | | |"
    cells = (
        verdict.attempted,
        verdict.acknowledged,
        verdict.unknown,
        verdict.recovered,
        len(verdict.lost),
        len(verdict.unexpected),
        verdict.duplicated_runs,
        verdict.completed_twice,
    )
    name = f"**{report.name}** (broken)" if report.broken else f"[{report.name}](#{report.name})"
    return f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |"


def _figures(report: Report) -> list[str]:
    figures = [f"{name}: {value}" for name, value in report.figures.items()]
    broken = [f"**broken**: {sentence}" for sentence in report.broken]
    return [f"- {line}" for line in (*figures, *broken)]


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()
