"""All measures of all contestants, taking turns."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import environments
from .contestants import ENVIRONMENTS, ROOT
from .figures import medians
from .killing import Aftermath, killed
from .measures import GROUPS, Figures, idle, memory, warm_worker
from .progress import Progress
from .server import own_server
from .session import ContestantError, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .contestants import Contestant
    from .measures import Sizes

    T = TypeVar("T")

BARE, IDLE, MEMORY, KILL, DEPTH = "bare", "idle", "memory", "kill", "depth"
# Seconds, on two cores: only for the first estimate of what is left.
_GUESSES_S = {
    "enqueue": 8.0,
    "drain": 14.0,
    "latency": 12.0,
    "start": 2.0,
    "sleeps": 14.0,
    BARE: 22.0,
    IDLE: 60.0,
    MEMORY: 400.0,
    KILL: 130.0,
    DEPTH: 60.0,
}
_UNKNOWN = float("inf")


@dataclass
class Outcome:
    """What a run found, by the contestants' names.

    Attributes:
        circumstances: when, on which machine, with which server.
        figures: medians by measure.
        killed: what kill -9 left.
        settings: who is set so, by the settings and the versions.
        bare: what the machine allows, at each moment at which it was asked.
        depth: µs of server time a task, by how many are queued and by verb.
        failures: what could not be measured, and why.
    """

    circumstances: list[str] = field(default_factory=list)
    figures: dict[str, Figures] = field(default_factory=dict)
    killed: dict[str, Aftermath] = field(default_factory=dict)
    settings: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    bare: dict[str, Figures] = field(default_factory=dict)
    depth: dict[str, Figures] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def run(contestants: Sequence[Contestant], groups: Collection[str], sizes: Sizes, repeats: int) -> Outcome:
    """Measure. A contestant that fails at something has no figure there, and is told of."""
    outcome = Outcome(circumstances=_circumstances(sizes, repeats))
    contestants = [contestant for contestant in contestants if _describe(contestant, outcome)]
    return _Run(contestants, groups, sizes, repeats, outcome).all()


class _Run:
    """One run: what takes turns, and then what may be done side by side because it is no matter of speed."""

    def __init__(
        self,
        contestants: Sequence[Contestant],
        groups: Collection[str],
        sizes: Sizes,
        repeats: int,
        outcome: Outcome,
    ) -> None:
        self._contestants = contestants
        self._whole = [one for one in contestants if not one.only]
        self._groups = groups
        self._sizes = sizes
        self._repeats = repeats
        self._outcome = outcome
        self._taken: dict[str, list[Figures]] = {one.name: [] for one in contestants}
        self._progress = Progress(self._steps(), _GUESSES_S)

    def all(self) -> Outcome:
        """Do it."""
        self._ask_machine("before")
        for repeat in range(self._repeats):
            for group in GROUPS:
                if group in self._groups:
                    self._take_turns(group, repeat)
            self._ask_machine(f"after repeat {repeat + 1}")
        self._outcome.figures = {name: medians(repeats) for name, repeats in self._taken.items()}
        for group, measure in {DEPTH: self._depth, MEMORY: self._memory, IDLE: self._idle, KILL: self._kill}.items():
            if group in self._groups:
                self._step(group, "", measure)
        return self._outcome

    def _steps(self) -> list[tuple[str, str]]:
        turns = [(group, one.name) for group in GROUPS for one in self._contestants if one.takes_part(group)]
        once = [(group, "") for group in (DEPTH, MEMORY, IDLE, KILL)]
        steps = [(BARE, "")] * (self._repeats + 1) + turns * self._repeats + once
        return [step for step in steps if step[0] in self._groups]

    def _step(self, group: str, who: str, measure: Callable[[], T]) -> T | None:
        """Do one step and say what it gave; None, and a failure more, if it gave nothing."""
        began_s = time.monotonic()
        given = None
        try:
            given = measure()
        except Exception as error:  # whatever it was: half an hour of measuring outlives it
            text = _told(group, who, error)
            self._outcome.failures.append(text)
        else:
            text = " ".join([who, f"{group}:", *([_line(given)] if isinstance(given, dict) else ["done"])]).strip()
        took_s = time.monotonic() - began_s
        print(f"{text} ({took_s:.0f} s; {self._progress.done((group, who), took_s)})", file=sys.stderr, flush=True)
        return given

    def _take_turns(self, group: str, repeat: int) -> None:
        # Each repeat begins with another one: nobody always follows the same.
        first = repeat % len(self._contestants)
        for contestant in [*self._contestants[first:], *self._contestants[:first]]:
            if not contestant.takes_part(group):
                continue
            figures = self._step(group, contestant.name, partial(GROUPS[group], contestant, self._sizes))
            if figures is not None:
                self._taken[contestant.name].append(figures)

    def _ask_machine(self, moment: str) -> None:
        if BARE in self._groups:
            once = ("--repeats", "1", "--seconds", str(self._sizes.seconds))
            figures = self._step(BARE, "", partial(bare, *once))
            if figures is not None:
                self._outcome.bare[moment] = figures

    def _depth(self) -> None:
        depths = map(str, self._sizes.depths)
        self._outcome.depth = _asked([sys.executable, "-m", "benchmarks.depth", "--json", "--depths", *depths])

    def _memory(self) -> None:
        """As many at once as there are cores; who takes longest begins."""
        figures = self._outcome.figures
        order = sorted(self._whole, key=lambda one: figures[one.name].get("drain_one", _UNKNOWN))
        for contestant, found in self._side_by_side(MEMORY, order, memory, os.cpu_count() or 1):
            figures[contestant.name] |= found

    def _idle(self) -> None:
        with ExitStack() as stack:
            sessions = {}
            for contestant, session in self._side_by_side(IDLE, self._whole, warm_worker, os.cpu_count() or 1):
                stack.push(session)
                sessions[contestant.name] = session
            for name, found in idle(sessions, self._sizes).items():
                self._outcome.figures[name] |= found

    def _kill(self) -> None:
        """All at once: they only wait, and each has a server of its own."""
        for contestant, after in self._side_by_side(KILL, self._whole, killed, len(self._whole)):
            self._outcome.killed[contestant.name] = after

    def _side_by_side(
        self, group: str, contestants: Sequence[Contestant], measure: Callable[[Contestant, Sizes], T], at_once: int
    ) -> list[tuple[Contestant, T]]:
        def attempt(contestant: Contestant) -> T | None:
            try:
                return measure(contestant, self._sizes)
            except Exception as error:  # as above
                self._outcome.failures.append(_told(group, contestant.name, error))
                return None

        with ThreadPoolExecutor(at_once) as pool:
            given = list(zip(contestants, pool.map(attempt, contestants), strict=True))
        return [(contestant, one) for contestant, one in given if one is not None]


def bare(*arguments: str) -> Figures:
    """Return what this machine allows just now, see benchmarks/ceiling.py.

    Raises:
        NotInstalledError: what it needs can't be installed.
    """
    environments.make("ceiling")
    python = str(ENVIRONMENTS / "ceiling/bin/python")
    figures: Figures = _asked([python, "-m", "benchmarks.ceiling", "--json", *arguments])
    return figures


def _asked(command: Sequence[str]) -> Any:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("\n".join([" ".join(command), *done.stderr.splitlines()[-5:]]))
    return json.loads(done.stdout)


def _describe(contestant: Contestant, outcome: Outcome) -> bool:
    """Note how it is set, and return whether it can take part."""
    try:
        with Session(contestant) as session:
            described = session.described
    except ContestantError as error:
        outcome.failures.append(str(error))
        return False
    versions = ", ".join(f"{name} {number}" for name, number in described["versions"].items())
    outcome.settings.setdefault((described["settings"], versions), []).append(contestant.name)
    return True


def _told(group: str, who: str, error: Exception) -> str:
    kind = "" if isinstance(error, ContestantError) else f"{who}: {type(error).__name__}: "
    return f"{group}: {kind}{error}"


def _line(figures: Figures) -> str:
    return ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())


def _circumstances(sizes: Sizes, repeats: int) -> list[str]:
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = cpu.partition("model name\t: ")[2].partition("\n")[0] or platform.processor()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        own_server(Path(directory), is_durable=sizes.is_durable) as server,
    ):
        kept = server.describe()
    return [
        f"{time.strftime('%Y-%m-%d', time.gmtime())}; {model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        f"{platform.platform()}, Python {platform.python_version()}",
        f"{kept}; medians of {repeats}",
    ]
