from __future__ import annotations

import re
from pathlib import Path

import pytest

from singleton_service.background.config.settings import SETTINGS
from singleton_service.background.config.variables import variable_name

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def unit_of(field: str) -> str:
    units = {
        "_seconds": "s",
        "_bytes": "bytes",
        "_replicas": "replicas",
        "processes": "processes",
        "max_results": "tasks",
        "max_failed": "tasks",
        "max_backlog": "tasks",
        "async_concurrency": "coroutines",
    }
    return next((unit for part, unit in units.items() if part in field), "-")


def row_of(name: str) -> str:
    setting = SETTINGS[name]
    default = "unset" if setting.default is None else f"`{str(setting.default).lower()}`"
    return f"| `{variable_name(name)}` | {default} | {unit_of(name)} | {range_of(name)} | {setting.meaning} |"


def range_of(name: str) -> str:
    by_hand = {
        "redis_url": "`redis://`, `rediss://` or `unix://`",
        "namespace": "`[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}`",
        "data_dir": "a path",
        "health_file": "a path",
        "health_host": "an address",
    }
    return by_hand.get(name) or SETTINGS[name].rule


@pytest.mark.parametrize("name", SETTINGS)
def test_the_reference_tells_each_setting_as_it_is(name: str) -> None:
    assert row_of(name) in PAGE.read_text().splitlines()


def test_the_reference_tells_no_setting_that_is_not() -> None:
    told = re.findall(r"^\| `([A-Z_]+)`", PAGE.read_text(), re.MULTILINE)

    assert told == [variable_name(name) for name in SETTINGS]
