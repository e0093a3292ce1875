"""The page about the protocol names what there is: tests, keys, scripts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from singleton_service.background.task_queue.scripts import Scripts, load_scripts

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/explanation/protocol.md").read_text(encoding="utf-8")
SCRIPTS = [getattr(load_scripts(), field.name) for field in dataclasses.fields(Scripts)]


def test_every_test_it_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 40
    for path, name in named:
        source = ROOT / (path if "/" in path else f"tests/scripts/{path}")
        assert f"def {name}(" in source.read_text(encoding="utf-8"), f"{path} has no {name}"


def test_it_shows_every_key() -> None:
    table = "".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    shown = set(re.findall(r"`(\w+)(?::[^`]*)?`", table))
    used = {name.partition(":")[0] for script in SCRIPTS for name in script.keys}
    assert used - shown == set()


def test_it_counts_the_scripts() -> None:
    words = {
        16: "sixteen",
        20: "twenty",
        21: "twenty-one",
        22: "twenty-two",
        23: "twenty-three",
        24: "twenty-four",
        25: "twenty-five",
        26: "twenty-six",
    }
    assert f"{words[len(SCRIPTS)]} Lua scripts" in PAGE.replace("\n", " ")


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(PAGE.splitlines()) < 300
