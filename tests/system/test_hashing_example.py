"""The same work in threads and in processes, as the example measures it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.system.place import Place


def test_both_ways_come_to_the_same_results_and_the_speed_up_is_measured(place: Place) -> None:
    status, printed = place.run_example("hashing.py", "20000")

    assert status == 0, printed
    threads_s, processes_s = (
        float(seconds) for seconds in re.findall(r"8 tasks of 20,000 rounds in \d+ \w+: +(\d+\.\d+) s\n", printed)
    )
    found = re.search(r"The results are the same, and processes were (\d+\.\d\d) times as fast\.\n$", printed)
    assert found, printed
    # From figures with two digits; how fast a busy machine is says nothing.
    assert abs(float(found[1]) - threads_s / processes_s) < 0.1 + 0.02 * threads_s / processes_s**2
