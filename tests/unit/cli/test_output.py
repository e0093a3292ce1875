"""Tables, durations and typed values: pure functions of the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest
from rich.cells import cell_len

from singleton_service.background.cli import showing
from singleton_service.background.cli.output import Cell, Column, Table, drawn, plain_lines
from singleton_service.background.cli.overview import Overview
from singleton_service.background.cli.problems import printable
from singleton_service.background.cli.showing import note_of, span, tasks_table
from singleton_service.background.cli.tracebacks import shortened
from singleton_service.background.cli.values import duration, moment
from singleton_service.background.task_queue import Progress, Task, TaskError, TaskStatus
from singleton_service.background.worker import WorkerInfo

NOW = datetime.now(UTC)
LONG = "ConnectionError: the mail server of the other side refused what it was sent, and said so"


def table() -> Table:
    made = Table(
        [Column("id"), Column("size", is_number=True), Column("extra", may_go=True), Column("note", is_prose=True)]
    )
    made.add("default.0123456789", 7, "more", Cell("two\nlines", "red"))
    made.add("low.1", 1234, "", LONG)
    return made


def test_a_pipe_gets_a_line_a_row_and_nothing_is_cut_off() -> None:
    assert list(plain_lines(table())) == [
        "ID                  SIZE  EXTRA  NOTE",
        "default.0123456789     7  more   two lines",
        f"low.1               1234  -      {LONG}",
    ]


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40, 30])
def test_no_row_is_wider_than_its_terminal(width: int) -> None:
    lines = drawn(table(), width).plain.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:2] == ["id", "size"]
    assert ("extra" in lines[0]) == (width >= 80)
    assert sum("default.0123456789     7" in line for line in lines) == 1


def test_where_there_is_little_room_prose_stands_below_its_row() -> None:
    lines = drawn(table(), 50).plain.splitlines()
    assert lines[2] == "  two lines"
    assert lines[-1] == f"  {LONG[:47]}…"


def test_wide_letters_take_two_places() -> None:
    made = Table([Column("name"), Column("note", is_prose=True)])
    made.add("会議", "a")
    made.add("room", "会議" * 40)
    lines = drawn(made, 40).plain.splitlines()
    assert max(map(cell_len, lines)) <= 40
    assert lines[1] == "会議  a"


def test_what_would_steer_a_terminal_is_spelt_out() -> None:
    made = Table([Column("note", is_prose=True)])
    made.add("\x1b[31mred\x07\rback")
    assert list(plain_lines(made))[1] == "\\x1b[31mred\\x07 back"
    assert printable("tab\tand\nline\x9b") == "tab\tand\nline\\x9b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-3, "0s"),
        (0.0004, "1ms"),
        (0.25, "250ms"),
        (0.9996, "1s"),
        (1.5, "2s"),
        (3597, "1h"),
        (59.7, "1m"),
        (599.9, "10m"),
        (3600, "1h"),
        (86_400 * 3, "3d"),
    ],
)
def test_a_time_takes_few_letters(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), ("250ms", 0.25), ("10m", 600), ("1h30m", 5400), ("2D", 172_800)]
)
def test_a_duration_is_typed_as_people_say_it(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "m", "10 minutes", "-5", "1h 30m", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no duration: write it as 90"):
        duration(text)


def test_a_time_of_day_is_the_next_one_to_come() -> None:
    today = datetime.now()  # noqa: DTZ005 - as the clock on the wall
    for hours in (1, 23):
        wanted = (today + timedelta(hours=hours)).replace(second=0, microsecond=0)
        assert moment(f"{wanted:%H:%M}") == wanted
    assert moment("2026-12-24") == datetime(2026, 12, 24)  # noqa: DTZ001 - local time is meant
    with pytest.raises(click.BadParameter, match="is no time"):
        moment("25:00")


def task(status: TaskStatus = TaskStatus.PENDING, **fields: object) -> Task:
    return Task("default.x", "mail", {}, status, NOW, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shown", "note"),
    [
        (task(eta=NOW + timedelta(minutes=10)), "due in 10m"),
        (task(held_reason="no worker knows it"), "no worker knows it"),
        (task(TaskStatus.RUNNING, progress=Progress(40.0, "page 2", NOW)), "40 % page 2"),
        (task(TaskStatus.COMPLETED, started_at=NOW, completed_at=NOW + timedelta(seconds=1.5)), "took 1.5s"),
        (
            task(
                TaskStatus.RETRYING,
                eta=NOW + timedelta(hours=2),
                errors=(TaskError(NOW, "OSError", "Task execution failed: no\nway"),),
            ),
            "again in 2h; OSError: no way",
        ),
    ],
)
def test_a_note_says_what_is_worth_knowing(monkeypatch: pytest.MonkeyPatch, shown: Task, note: str) -> None:
    monkeypatch.setattr(showing, "now", lambda: NOW)
    assert note_of(shown) == note


def test_a_held_task_is_called_held() -> None:
    assert tasks_table([task(held_reason="why")]).rows[0][1] == Cell("held", "yellow")


def overview(**fields: object) -> Overview:
    queue = {"name": "default", "pending": 1, "paused": False}
    given = {"queues": [queue], "workers": [], "failures": [], **fields}
    return Overview(at=NOW, server="redis://x", namespace="tasks", last_minute={}, **given)  # type: ignore[arg-type]


def test_a_glance_tells_what_changed_since_the_last() -> None:
    worker = WorkerInfo("id", "host", 7, None, NOW, ("default", "low"), 1, 2)
    failure = task(TaskStatus.FAILED, completed_at=NOW, error_message="no", errors=(TaskError(NOW, "OSError", "no"),))
    first = overview()
    assert list(first.changes_since(None)) == ["queue default: pending=1"]
    assert list(first.changes_since(first)) == []
    second = overview(queues=[{"name": "default", "pending": 0, "paused": True}], workers=[worker], failures=[failure])
    assert list(second.changes_since(first)) == [
        "queue default: pending=0 paused",
        "worker host:7 is there, takes from default, low",
        "failed default.x mail: OSError: no",
    ]
    assert list(first.changes_since(second)) == ["queue default: pending=1", "worker host:7 is gone"]


def test_a_traceback_is_shortened_to_the_users_frames_and_its_causes_too() -> None:
    try:
        try:
            duration("x")
        except click.BadParameter as error:
            raise ValueError("mine") from error
    except ValueError as error:
        told = shortened(error)
    assert told.splitlines()[-1] == "ValueError: mine"
    assert "values.py" not in told
    assert told.count(f'File "{__file__}"') == 2
