"""Play seeds by hand: python -m tests.simulation [--seed N] [--seeds N] [--first N]."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from singleton_service.background.config import Settings
from singleton_service.background.engine import open_engine

from .world import Tale, play


def main() -> int:
    """Play what was asked for; return how many seeds broke a promise, at most 100."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one alone, with all that happens in it")
    parser.add_argument("--seeds", type=int, default=240, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else [asked.seed]
    began_s = time.monotonic()
    broken = calls = 0
    with tempfile.TemporaryDirectory(prefix="sim-") as directory:
        engine = open_engine(Settings(data_dir=Path(directory)))
        for seed in seeds:
            tale = play(seed, engine)
            calls += tale.calls
            broken += bool(tale.broken)
            _tell(tale, whole=asked.seed is not None)
        engine.close()
    print(f"{len(seeds):,} seeds, {calls:,} calls to the server, {broken} broken, {time.monotonic() - began_s:.0f} s")
    return min(broken, 100)


def _tell(tale: Tale, *, whole: bool) -> None:
    if whole:
        print(*tale.log, f"fates: {tale.bites}", sep="\n")
    if tale.broken:
        print(f"seed {tale.seed} BROKEN (see it: python -m tests.simulation --seed {tale.seed})", flush=True)
        print(*(f"    {sentence}" for sentence in tale.broken), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
