"""What every measurement here needs: to say where it was made, and how far its samples lie apart."""

from __future__ import annotations

import os
import platform
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PEERS = ("dishka", "wireup", "svcs", "that-depends", "dependency-injector")


def describe() -> Iterator[str]:
    """Yield machine and versions, a line each."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = cpu.partition("model name\t: ")[2].partition("\n")[0] or platform.processor()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    yield f"{model}, {os.cpu_count()} cores{load}, {platform.platform()}"
    yield ", ".join([f"Python {platform.python_version()}", *(f"{peer} {_version(peer)}" for peer in PEERS)])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def spread(samples: Sequence[float]) -> str:
    """Return the middle half of *samples* as a percentage of their median: how far to trust the last digit."""
    low, middle, high = statistics.quantiles(samples, n=4)
    return f"±{(high - low) / middle / 2 * 100:.0f} %"
