"""What `worker` and its like refuse, before anything is started."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.cli.main import run
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.handlers import HandlerRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TASKS_HEALTH_PORT", "TASKS_HEALTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    # Other tests of this process may have tasks of their own.
    monkeypatch.setattr(TaskQueueService, "_task_handlers", HandlerRegistry())
    (tmp_path / "bare_pages.py").write_text("def home():\n    return 1\n")
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("worker", 2, "no module named"),
        ("worker bare_pages", 1, "no tasks in bare_pages"),
        ("worker bare_pages --queues a:1,b", 2, "'b' has no weight"),
        ("worker bare_pages --threads 0", 2, "0 is not in the range"),
        ("worker bare_pages --burst --reload", 2, "give one of them"),
        ("worker nowhere.bare --queues low", 2, "there is no module 'nowhere.bare'"),
        ("dev", 1, "nothing to run"),
        ("dev one:app two:app", 2, "one app at a time"),
    ],
)
def test_a_call_that_makes_no_sense_is_told_in_a_few_lines(
    arguments: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments.split()) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) <= 3


def test_a_port_that_is_taken_is_told_at_once(taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dev", "bare_pages:app", "--port", str(taken)]) == 1
    assert f"port {taken} of 127.0.0.1 can't be had" in capsys.readouterr().err


def test_several_processes_can_not_tell_their_health_in_one_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TASKS_HEALTH_PORT", "8081")
    assert run(["worker", "bare_pages", "--processes", "2"]) == 2
    assert "tell the health of one process" in capsys.readouterr().err
