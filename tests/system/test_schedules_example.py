"""Schedules in zones, one that does not overlap, and what is left when the program ends."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.system.place import Place


def test_schedules_fire_in_their_zones_do_not_overlap_and_are_taken_back(place: Place) -> None:
    status, printed = place.run_example("schedules.py")

    assert status == 0, printed
    lines = printed.splitlines()
    assert len(re.findall(r" 09:00\b", "\n".join(lines[1:3]))) == 2 * 3, "in the words and by the clock there"
    assert lines[3].startswith("  Every 2 weeks on Friday at 16:30 (Australia/Lord_Howe): Fri ")
    assert "Try: every monday and friday at 09:00" in printed
    outcomes = re.findall(r"^  \d\d:\d\d:\d\d  (\w+)$", printed, re.MULTILINE)
    assert {"completed", "skipped"} <= set(outcomes) <= {"completed", "skipped", "running", "pending"}
    assert re.search(r"^Paused, and another one run by hand: task default\.\w{20}\.$", printed, re.MULTILINE)

    left, _ = place.start("-m", "singleton_service", "schedules", "list", "--json").communicate()
    assert not {"stock", "remind"} & {job["name"] for job in json.loads(left)["schedules"]}
