"""All measures of all contestants, taking turns."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import medians
from .killing import Aftermath, killed
from .measures import GROUPS, ONCE
from .server import own_server
from .session import ContestantError, Session

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .contestants import Contestant
    from .measures import Sizes

KILL = "kill"


@dataclass
class Outcome:
    """What a run found, by the contestants' names.

    Attributes:
        circumstances: when, on which machine, with which server.
        figures: medians by measure.
        killed: what kill -9 left.
        settings: who is set so, by the settings and the versions.
        ceiling: what the machine allows, a line each.
        failures: what could not be measured, and why.
    """

    circumstances: list[str] = field(default_factory=list)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    killed: dict[str, Aftermath] = field(default_factory=dict)
    settings: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    ceiling: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def run(contestants: Sequence[Contestant], groups: Collection[str], sizes: Sizes, repeats: int) -> Outcome:
    """Measure. A contestant that fails at something has no figure there, and is told of."""
    outcome = Outcome(circumstances=_circumstances(sizes, repeats))
    contestants = [contestant for contestant in contestants if _describe(contestant, outcome)]
    taken: dict[str, list[dict[str, float]]] = {contestant.name: [] for contestant in contestants}
    for repeat in range(repeats):
        for group, measure in GROUPS.items():
            if group not in groups or (repeat and group in ONCE):
                continue
            # Each repeat begins with another one: nobody always follows the same.
            first = repeat % len(contestants)
            for contestant in [*contestants[first:], *contestants[:first]]:
                if contestant.only not in {"", group}:
                    continue
                began_s = time.monotonic()
                try:
                    figures = measure(contestant, sizes)
                except Exception as error:  # whatever it was: an hour of measuring outlives it
                    outcome.failures.append(_told(group, contestant, error))
                    _say(f"{repeat + 1}/{repeats} {outcome.failures[-1]}")
                    continue
                taken[contestant.name].append(figures)
                shown = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
                _say(f"{repeat + 1}/{repeats} {contestant.name}: {shown} ({time.monotonic() - began_s:.0f} s)")
    outcome.figures = {name: medians(repeats) for name, repeats in taken.items()}
    if KILL in groups:
        _kill_all([one for one in contestants if not one.only], sizes, outcome)
    return outcome


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


def _kill_all(contestants: Sequence[Contestant], sizes: Sizes, outcome: Outcome) -> None:
    """All at once: they only wait, and each has a server of its own."""

    def attempt(contestant: Contestant) -> Aftermath | str:
        try:
            return killed(contestant, sizes)
        except Exception as error:  # as above
            return _told(KILL, contestant, error)

    with ThreadPoolExecutor(len(contestants)) as pool:
        for contestant, after in zip(contestants, pool.map(attempt, contestants), strict=True):
            if isinstance(after, Aftermath):
                outcome.killed[contestant.name] = after
            else:
                outcome.failures.append(after)


def _told(group: str, contestant: Contestant, error: Exception) -> str:
    kind = "" if isinstance(error, ContestantError) else f"{contestant.name}: {type(error).__name__}: "
    return f"{group}: {kind}{error}"


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


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
