"""The page about schedules names what there is: tests, keys, scripts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from singleton_service.background.scheduler.scripts import ScheduleScripts, load_schedule_scripts

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/explanation/schedules.md").read_text(encoding="utf-8")
SCRIPTS = [getattr(load_schedule_scripts(), field.name) for field in dataclasses.fields(ScheduleScripts)]


def test_every_test_it_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 8
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no {name}"


def test_it_shows_every_key_and_counts_the_scripts() -> None:
    shown = set(re.findall(r"`(\w+)`", "".join(line for line in PAGE.splitlines() if line.startswith("| `"))))
    assert {name for script in SCRIPTS for name in script.keys} - shown == set()
    assert len(SCRIPTS) == 8
    assert "Eight Lua scripts" in PAGE
