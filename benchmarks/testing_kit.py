"""What does the fixture `task_queue` cost a test, and the plugin a suite that does not use it?

Python says how long it imports the plugin. Then a suite is run whose tests each enqueue a task, drain it and read its
result, and the first of these tests alone: the difference is divided among the others. Last comes the example's suite,
whole: what pytest says, and what the clock on the wall does.

    python benchmarks/testing_kit.py [--tests 200] [--repeats 5]

Nothing else that is installed is loaded by pytest, but for pytest-xdist where that is said. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOOKSHOP = ROOT / "examples" / "testing_an_app"
OURS = ("-p", "singleton_service._pytest_plugin", "-p", "singleton_service.background._pytest_plugin")

SUITE = """
import pytest
from services.task_queue import task

@task
def double(n: int) -> int:
    return 2 * n

@pytest.mark.parametrize("n", range({tests}))
def test_one_task(task_queue, n):
    handle = double.enqueue(n=n)
    task_queue.drain()
    assert handle.result == 2 * n
"""


def run(folder: Path, *options: str) -> tuple[float, float]:
    """Return the seconds that a suite took by its own account, and by the clock on the wall."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OURS, *options],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": f"{folder}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.perf_counter() - began
    said = re.search(r"\d+ passed.* in ([\d.]+)s", done.stdout)
    if said is None:
        sys.exit(done.stdout + done.stderr)
    return float(said[1]), wall_s


def import_ms() -> float:
    """Return how long the plugin takes to be imported where pytest and the container are already."""
    module = "singleton_service.background._pytest_plugin"
    program = f"import pytest, singleton_service._pytest_plugin, {module}"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    [line] = [line for line in done.stderr.splitlines() if line.endswith(module)]
    return int(line.split("|")[1]) / 1000


def show(what: str, values: list[float]) -> None:
    print(f"{what:60}  {statistics.median(values):6.2f}  ({min(values):.2f} to {max(values):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    repeats = range(given.repeats)
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}, ", end="")
    print(f"pytest {version('pytest')}; medians of {given.repeats} runs\n")
    show("import of the plugin, ms", [import_ms() for _ in repeats])
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="kit-") as directory:
        os.environ["TMPDIR"] = directory
        Path(directory, "test_suite.py").write_text(SUITE.format(tests=given.tests), encoding="utf-8")
        folder = Path(directory)
        # In pairs, for what else the machine does changes by the minute.
        pairs = [(run(folder)[0], run(folder, "-k", "test_one_task[0]")[0]) for _ in repeats]
        others = given.tests - 1
        show(
            "a test with a task, beyond the first, ms", [(all_s - first_s) / others * 1000 for all_s, first_s in pairs]
        )
        for how, options in (("", ()), (", two processes of pytest-xdist", ("-p", "xdist", "-n", "2"))):
            taken = [run(BOOKSHOP, *options) for _ in repeats]
            show(f"30 tests of the bookshop{how}, s", [said_s for said_s, _ in taken])
            show("    and pytest itself, s", [wall_s for _, wall_s in taken])


if __name__ == "__main__":
    main()
