"""The page of results: figures of one run, and of which machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from .rig import FAULT_MEANWHILE, LONGEST_STALL, READY_AGAIN, RUNNING_AGAIN, STALL_ALLOWED, Report, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

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


_STALLS = """\
## How long work stood still

No tasks end while nobody can reach the server; what counts is that work goes on within a second of the fault's end.
Where others can go on throughout, the fault counts as 0 s, and so does the blow after which connections are half open.
Faults less than a second apart count as one.

| Scenario | longest time without an end, s | fault meanwhile, s | allowed, s |
|---|--:|--:|--:|
"""


def others_load() -> float:
    """Return how many programs of others ran or wished to, on average in the last five minutes."""
    return os.getloadavg()[1]


def write_results(path: Path, size: Size, load: float, reports: Sequence[Report]) -> None:
    """Write the page.

    Args:
        path: where.
        size: of all scenarios.
        load: what `others_load` said before the first of them began.
        reports: one per scenario.
    """
    servers = sorted({report.server for report in reports if report.server})
    machine = f"{_processor()}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    lines = [
        _INTRODUCTION,
        f"Machine: {machine}, redis-py {version('redis')}. Servers: {', '.join(servers)}.",
        f"Its {os.cpu_count()} processors were shared with other work, a load of {load:.1f} before this run began.",
        f"Size: {size.tasks:,} tasks or more for each, lease {size.lease_s:g} s, seed {size.seed}.",
        "",
        "| Scenario | attempted | acknowledged | unknown | recovered | lost | unexpected | runs twice | ends twice |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *map(_row, reports),
        "",
        _LEGEND,
        *_recovery(size, reports),
        _STALLS + "\n".join(_stall_row(report) for report in reports if LONGEST_STALL in report.figures),
        "",
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


def _recovery(size: Size, reports: Sequence[Report]) -> list[str]:
    promises = {
        READY_AGAIN: "A dead worker's tasks ran again elsewhere at most **{} s** after its death. Promised is\n"
        f"lease + beat + 1 s, {size.recovery_s:g} s here.\n",
        RUNNING_AGAIN: "Where its supervisor saw it die, **{} s** after at most. Promised is 0.2 s, if others\n"
        "have room.\n",
    }
    return [
        sentence.format(report.figures[name])
        for name, sentence in promises.items()
        for report in reports
        if name in report.figures
    ]


def _stall_row(report: Report) -> str:
    cells = [report.figures[name] for name in (LONGEST_STALL, FAULT_MEANWHILE, STALL_ALLOWED)]
    return f"| {report.name} | {' | '.join(cells)} |"


def _figures(report: Report) -> list[str]:
    figures = [f"{name}: {value}" for name, value in report.figures.items()]
    broken = [f"**broken**: {sentence}" for sentence in report.broken]
    return [f"- {line}" for line in (*figures, *broken)]


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()
