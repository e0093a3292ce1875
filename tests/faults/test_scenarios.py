"""Each scenario, at a size that lets its fault bite. Full size: make faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .catalogue import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .rig import Report


# The soak alone lasts two minutes, and noise may make it run again.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_promise_is_broken_and_the_fault_did_bite(scenario: str, report_of: Callable[[str], Report]) -> None:
    report = report_of(scenario)
    assert not report.broken, "\n".join([report.line, *report.broken, report.output])
