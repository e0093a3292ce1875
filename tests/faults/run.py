"""Running one scenario."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from .rig import Report, Rig, Size

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[Rig], None]


def run(scenario: Scenario, size: Size) -> Report:
    """Run a scenario in a world of its own and return what it found. Scenarios may run side by side in threads."""
    with Rig(scenario.__name__, size) as rig:
        rig.report.about = inspect.getdoc(scenario) or ""
        try:
            scenario(rig)
        except (AssertionError, TimeoutError, OSError) as error:
            rig.report.broken.append(f"{type(error).__name__}: {error}")
        if rig.report.broken:
            rig.report.output = rig.output()
    return rig.report
