"""Run scenarios by hand: python -m tests.faults [NAME ...] [--full] [--tasks N] [--seed N] [--report FILE]."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from .catalogue import SCENARIOS
from .results import others_load, write_results
from .rig import FULL, SMALL, Report
from .run import run


def main() -> int:
    """Run what was asked for, one scenario after the other; return how many broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(SCENARIOS)}")
    parser.add_argument("--full", action="store_true", help="full size: 8,000 tasks, the default lease")
    parser.add_argument("--tasks", type=int, help="how many tasks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--soak-seconds", type=float, help="how long the soak lasts")
    parser.add_argument("--report", type=Path, help="write the results there, as a page")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(SCENARIOS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    size = replace(FULL if asked.full else SMALL, seed=asked.seed)
    size = replace(size, tasks=asked.tasks or size.tasks, soak_s=asked.soak_seconds or size.soak_s)
    load = others_load()
    reports: list[Report] = []
    for name in asked.names or SCENARIOS:
        reports.append(run(SCENARIOS[name], size))
        print(reports[-1].line, flush=True)
        if reports[-1].picture:
            print(f"    {reports[-1].picture}", flush=True)
        for sentence in reports[-1].broken:
            print(f"    BROKEN: {sentence}", flush=True)
        print(reports[-1].output, file=sys.stderr)
    if asked.report:
        write_results(asked.report, size, load, reports)
    return sum(bool(report.broken) for report in reports)


if __name__ == "__main__":
    sys.exit(main())
