"""The pages on expressions and on daylight saving say what the code does: each row, each run, each refusal."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from singleton_service.background.cli.main import run as run_command
from singleton_service.background.expressions import parse

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference/expressions.md").read_text(encoding="utf-8")
SAVING = (DOCS / "explanation/daylight-saving.md").read_text(encoding="utf-8")
BERLIN = ZoneInfo("Europe/Berlin")
SINCE = datetime(2026, 3, 6, 12, tzinfo=BERLIN)

FORMS = re.findall(r"^\| `([^`]+)` \| .*$", REFERENCE, re.MULTILINE)
CASES = re.findall(r"^\| `([^`]+)` \| ([\w/]+) \| ([\d-]+) \| .*$", SAVING, re.MULTILINE)
REFUSALS = re.findall(r"^```text\n(.*?)^```$", REFERENCE, re.MULTILINE | re.DOTALL)


def row(form: str) -> str:
    """Return the line of the reference about an expression."""
    expression = eval(form, {"timedelta": timedelta}) if form.startswith("timedelta") else form
    recurrence = parse(expression, BERLIN.key)
    runs = [run.astimezone(BERLIN) for run in recurrence.next_runs(SINCE, 3)]
    pattern = "%a %d %b %H:%M" if all(run.second == 0 for run in runs) else "%H:%M:%S"
    if runs[-1] - SINCE > timedelta(days=300):
        pattern = "%d %b %Y"
    described = recurrence.describe().removesuffix(f" ({BERLIN.key})")
    return f"| `{form}` | {described} | {', '.join(run.strftime(pattern) for run in runs)} |"


def run_row(expression: str, zone: str, day: str) -> str:
    """Return the line of the page on daylight saving about what an expression does on a day and the next."""
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    end = midnight + timedelta(days=2)
    runs = parse(expression, zone).runs_between(midnight - timedelta(seconds=1), end - timedelta(seconds=1))
    shown = ", ".join(f"{run.astimezone(midnight.tzinfo):%d. %H:%M %z}" for run in runs)
    return f"| `{expression}` | {zone} | {day} | {shown or 'none'} |"


def test_the_pages_were_read() -> None:
    assert len(FORMS) >= 35
    assert len(CASES) >= 12
    assert len(REFUSALS) >= 5


@pytest.mark.parametrize("form", FORMS)
def test_an_expression_is_described_and_runs_as_the_reference_says(form: str) -> None:
    assert row(form) in REFERENCE.splitlines()


@pytest.mark.parametrize(("expression", "zone", "day"), CASES)
def test_a_clock_that_jumps_does_to_an_expression_what_the_page_says(expression: str, zone: str, day: str) -> None:
    assert run_row(expression, zone, day) in SAVING.splitlines()


def test_the_command_prints_what_the_reference_shows(capsys: pytest.CaptureFixture[str]) -> None:
    (call, shown), *others = re.findall(
        r"^```console\n\$ singleton-service (.*)\n((?:.*\n)*?)```$", REFERENCE, re.MULTILINE
    )
    assert not others

    assert run_command(shlex.split(call)) == 0

    printed = capsys.readouterr()
    far_away = re.compile(r" +(WHEN|in \S+|\S+ ago)$", re.MULTILINE)
    said = printed.err + far_away.sub("", printed.out)
    assert said == shown


def test_the_snippet_says_what_it_comments(capsys: pytest.CaptureFixture[str]) -> None:
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", REFERENCE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}

    exec(snippet, names)

    assert f'# "{names["monday"].describe()}"' in snippet
    assert len(capsys.readouterr().out.splitlines()) == 52


@pytest.mark.parametrize("message", REFUSALS)
def test_a_refusal_reads_as_the_reference_shows_it(message: str) -> None:
    with pytest.raises(ValueError, match=r"cron expression|time unit") as refused:
        parse(message.splitlines()[1])

    assert f"{refused.value}\n" == message


def test_a_zone_nobody_knows_is_refused_as_the_reference_shows() -> None:
    with pytest.raises(ValueError, match="timezone") as refused:
        parse("daily", "berlin")

    assert f"`{refused.value}`" in REFERENCE.replace("\n", " ")
