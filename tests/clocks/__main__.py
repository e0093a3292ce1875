"""All runs of thirty years in ten zones, compared one by one with a clock that is looked at.

    python -m tests.clocks [--expressions 6] [--seed 1]

Ends with an error at the first run that is missing, too many or at another instant.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from singleton_service.background.expressions import parse

from .enumeration import FIRST, LAST, ZONES, Meaning, any_meaning, day_by_day, uneven_days

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = timedelta(seconds=1)
# Thirty years have eleven thousand days; an expression for every second minute would take long.
MOST_A_DAY = 100


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.clocks")
    parser.add_argument("--expressions", type=int, default=6, help="for each zone")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, total = time.monotonic(), 0
    for name in ZONES:
        zone, dice = ZoneInfo(name), random.Random(f"{options.seed} {name}")
        uneven, runs = uneven_days(zone), 0
        for meaning in itertools.islice(_meanings(dice), options.expressions):
            found = parse(meaning.text, name).runs_between(FIRST - SECOND, LAST - SECOND)
            for wanted, run in itertools.zip_longest(day_by_day(meaning, zone, uneven), found):
                if wanted != run:
                    raise SystemExit(f"{meaning} in {name}: it ought to be {wanted}, and is {run}")
                runs += 1
        total += runs
        print(f"{name:18} {options.expressions} expressions, {runs:9,} runs of thirty years, as they ought to be")
    print(f"{total:,} runs in {time.monotonic() - began:.0f} s (seed {options.seed})")


def _meanings(dice: random.Random) -> Iterator[Meaning]:
    while True:
        meaning = any_meaning(dice)
        if len(meaning.minutes) <= MOST_A_DAY:
            yield meaning


if __name__ == "__main__":
    main()
