"""How long does `singleton-service --help` take, next to `python -c "import redis"`?

Whole processes, in turn, with compiled bytecode in place. A verb that talks to the server imports redis and more; the
help, a mistyped verb and `graph` must not wait for that.

    python -m benchmarks.cli_start [--rounds 20]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

from benchmarks.container.measuring import describe, spread

AT_MOST = 0.6
PROCESSES = {
    'python -c "import redis"': ["-c", "import redis"],
    "singleton-service --help": ["-m", "singleton_service", "--help"],
}


def seconds_of(arguments: list[str]) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    for arguments in PROCESSES.values():
        seconds_of(arguments)
    samples: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for _ in range(rounds):
        for name, arguments in PROCESSES.items():
            samples[name].append(seconds_of(arguments))
    print(*describe(), sep="\n")
    print(f"{rounds} rounds, median and middle half")
    for name, taken in samples.items():
        print(f"{name:28} {statistics.median(taken) * 1000:6.1f} ms  {spread(taken)}")
    theirs, ours = (statistics.median(taken) for taken in samples.values())
    print(f"ratio {ours / theirs:.2f} (at most {AT_MOST} is wanted)")
    return 0 if ours / theirs <= AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
