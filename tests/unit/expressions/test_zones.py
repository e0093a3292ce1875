from __future__ import annotations

import shutil
import time
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.expressions import parse, zones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], None]]:
    """Put another time zone database in place: its names, each with the rules of a zone of the real one."""
    real = [Path(path) for path in zoneinfo.TZPATH]

    def forget() -> None:
        zoneinfo.ZoneInfo.clear_cache()
        zones._read.cache_clear()

    def install(names: dict[str, str]) -> None:
        for name, rules in names.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(next(path / rules for path in real if (path / rules).exists()), tmp_path / name)
        zoneinfo.reset_tzpath([str(tmp_path)])
        forget()

    yield install
    zoneinfo.reset_tzpath()
    forget()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("America/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Europe", "Europe/"),
        ("utc", "UTC"),
        ("", "UTC"),
        ("\x00", "UTC"),
        ("../../etc/passwd", "UTC"),
        ("/etc/localtime", "UTC"),
        ("tzdata.zi", "UTC"),
        ("Mars/Olympus_Mons", "UTC"),
        ("x" * 100_000, "UTC"),
    ],
)
def test_a_wrong_name_is_refused_with_one_that_is_near(name: str, near: str) -> None:
    with pytest.raises(ValueError, match="timezone") as refused:
        parse("daily", name)

    said = str(refused.value)
    assert said.isprintable()
    assert len(said) < 400
    proposed = said.rpartition("Try '")[2].rstrip("'")
    assert proposed.startswith(near) or near == "Europe/"
    assert parse("daily", proposed)


@pytest.mark.parametrize("name", ["localtime", "posixrules", "Factory", "right/UTC", "posix/UTC"])
def test_what_each_machine_means_differently_is_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="no such name"):
        parse("daily", name)


@pytest.mark.parametrize("name", [None, 5, [], UTC, zoneinfo.ZoneInfo("Europe/Berlin")])
def test_a_zone_is_given_by_its_name(name: object) -> None:
    with pytest.raises(TypeError, match="must be a name: 'Europe/Berlin'"):
        parse("daily", name)  # type: ignore[arg-type]


def test_without_a_database_there_is_utc_and_the_message_says_how_to_get_the_others(
    database: Callable[[dict[str, str]], None],
) -> None:
    database({})

    assert parse("daily at 02:00").next_runs(datetime(2024, 3, 8, tzinfo=UTC), 1)
    with pytest.raises(ValueError, match=r"no time zone database on this machine.* pip install tzdata"):
        parse("daily", "Europe/Berlin")


def test_a_database_without_the_name_refuses_it_and_an_interval_with_it(
    database: Callable[[dict[str, str]], None],
) -> None:
    database({"Europe/Vienna": "Europe/Vienna"})

    for expression in ("daily", "every 5 minutes"):
        with pytest.raises(ValueError, match=r"'Europe/Viena' can't be used.* Try 'Europe/Vienna'"):
            parse(expression, "Europe/Viena")


def test_new_rules_of_a_zone_hold_from_the_next_run_and_make_up_for_nothing(
    database: Callable[[dict[str, str]], None],
) -> None:
    noon = datetime(2024, 7, 1, 12, tzinfo=UTC)
    database({"Europe/Berlin": "Africa/Lagos"})  # an hour ahead of UTC all the year
    daily = parse("daily at 02:30", "Europe/Berlin")
    fired = daily.latest_at_or_before(noon)

    database({"Europe/Berlin": "Europe/Athens"})  # three hours in summer

    assert fired == datetime(2024, 7, 1, 1, 30, tzinfo=UTC)
    assert daily.next_runs(fired, 2) == [
        datetime(2024, 7, 1, 23, 30, tzinfo=UTC),
        datetime(2024, 7, 2, 23, 30, tzinfo=UTC),
    ]
    assert daily.latest_at_or_before(noon) == datetime(2024, 6, 30, 23, 30, tzinfo=UTC)


def test_the_zone_of_the_machine_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    since = datetime(2024, 3, 30, 12, tzinfo=UTC)
    expressions = ("every 7 hours", "daily at 02:30", "every 2 weeks", "*/20 2 * * *")
    runs = []
    for machine in ("UTC", "Pacific/Apia", "America/New_York"):
        monkeypatch.setenv("TZ", machine)
        time.tzset()
        runs.append([parse(each, "Europe/Berlin").next_runs(since, 4) for each in expressions])
    monkeypatch.undo()
    time.tzset()

    assert runs[0] == runs[1] == runs[2]
