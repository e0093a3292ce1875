"""What does importing singleton_service cost?

Against an empty package plus the modules of the standard library that it loads and a bare interpreter does not. Each
import happens in a fresh interpreter, in turn, with compiled bytecode in place.

    python -m benchmarks.container.imports [--rounds 40]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.container.measuring import PEERS, describe, spread

ROOT = Path(__file__).parents[2]
OURS = "singleton_service"
MODULES = {"that-depends": "that_depends", "dependency-injector": "dependency_injector.providers"}
AT_MOST = 2.0

TIMED = """
import sys, time
began = time.perf_counter()
{statement}
print((time.perf_counter() - began) * 1e6)
"""
LOADED = f"""
import sys
before = set(sys.modules)
import {OURS}
new = set(sys.modules) - before
print(*sorted(name for name in new if not name.startswith("{OURS}")))
"""


def run(source: str, directory: Path) -> str:
    # Our package by path, not from an installation: editable ones bring import hooks that cost time.
    environment = {**os.environ, "PYTHONPATH": f"{directory}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", source], env=environment, cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        (directory / "empty_package").mkdir()
        (directory / "empty_package" / "__init__.py").touch()
        library = run(LOADED, directory).split()
        statements = {
            "an empty package": "import empty_package",
            "the standard library it loads": f"import {', '.join(library)}" if library else "pass",
            OURS: f"import {OURS}",
            **{peer: f"import {MODULES.get(peer, peer)}" for peer in PEERS},
        }
        taken: dict[str, list[float]] = {name: [] for name in statements}
        for round_number in range(rounds + 1):
            for name, statement in statements.items():
                us = float(run(TIMED.format(statement=statement), directory))
                if round_number:  # the first one writes the bytecode
                    taken[name].append(us)
    report(taken, library, rounds)


def report(taken: dict[str, list[float]], library: list[str], rounds: int) -> None:
    print(*describe(), sep="\n")
    print(f"{rounds} fresh interpreters each; median, spread of the middle half")
    print(f"standard library loaded by {OURS}: {', '.join(library) or 'nothing'}\n")
    medians = {name: statistics.median(samples) for name, samples in taken.items()}
    print(f"{'':32}{'µs':>9}{'spread':>8}{'to ours':>9}")
    for name, us in medians.items():
        print(f"{name:32}{us:9.0f}{spread(taken[name]):>8}{us / medians[OURS]:9.2f}")
    ratio = medians[OURS] / (medians["an empty package"] + medians["the standard library it loads"])
    print(f"\nimporting it costs {ratio:.2f} times an empty package and that library; the aim is at most {AT_MOST}")


if __name__ == "__main__":
    main()
