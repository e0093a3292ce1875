"""`schedules next`: it asks no server, so neither do these."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Callable

Call = tuple[int, str, str]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Call]:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")  # nobody is there

    def ask(*arguments: str) -> Call:
        code = run(["schedules", "next", *arguments])
        written = capsys.readouterr()
        return code, written.out, written.err

    return ask


def test_the_next_runs_are_printed_by_the_clock_of_the_zone_and_in_utc(call: Callable[..., Call]) -> None:
    code, out, err = call(
        *("every monday at 09:00", "--timezone", "Europe/Berlin", "-n", "2", "--after", "2099-03-24T12:00+01:00")
    )

    assert (code, err) == (0, "Every Monday at 09:00 (Europe/Berlin)\n")
    lines = [line.split("  in ")[0] for line in out.splitlines()[1:]]
    assert lines == [
        "Mon 2099-03-30 09:00:00 +0200  2099-03-30T07:00:00Z",
        "Mon 2099-04-06 09:00:00 +0200  2099-04-06T07:00:00Z",
    ]


def test_programs_get_json(call: Callable[..., Call]) -> None:
    code, out, _ = call("hourly", "-n", "1", "--after", "2099-01-01T00:30+00:00", "--json")

    assert code == 0
    assert json.loads(out) == {
        "expression": "every hour",
        "timezone": "UTC",
        "description": "Every hour",
        "runs": [{"utc": "2099-01-01T01:00:00Z", "local": "2099-01-01T01:00:00+00:00"}],
    }


def test_an_expression_may_be_typed_without_quotes(call: Callable[..., Call]) -> None:
    _, out, err = call("every", "30", "seconds")

    assert err == "Every 30 seconds\n"
    assert len(out.splitlines()) == 1 + 5


def test_what_is_wrong_is_pointed_at_and_put_right(call: Callable[..., Call]) -> None:
    code, out, err = call("every", "90", "minuts")

    assert (code, out) == (2, "")
    assert err == (
        "Error: Unsupported time unit: minuts\n"
        "  every 90 minuts\n"
        "           ^^^^^^\n"
        "  why: The units are seconds, minutes, hours, days and weeks\n"
        "  try: every 90 minutes\n"
    )


def test_who_forgot_the_quotes_is_told_what_a_shell_makes_of_a_star(call: Callable[..., Call]) -> None:
    code, _, err = call("0", "2", "README.md", "docs", "tests", "README.md", "docs", "tests")

    assert code == 2
    assert "Put it in quotes" in err


def test_a_wrong_zone_is_a_wrong_call(call: Callable[..., Call]) -> None:
    code, _, err = call("daily", "--timezone", "berlin")

    assert code == 2
    assert "Try 'Europe/Berlin'" in err
