"""The examples and the doors of the Makefile, run as a user runs them."""

from __future__ import annotations

import csv
import hashlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.system.place import EXAMPLES, read_line

if TYPE_CHECKING:
    from tests.system.place import Place

ROOT = Path(__file__).parents[2]
MAIN = EXAMPLES / "main.py"
DATA = EXAMPLES / "data"
S0_MAIN = ROOT / "tests" / "fixtures" / "s0_main.py"


def finished_tasks(place: Place) -> dict[str, str]:
    """Return when each task completed, by its id, as another program sees it."""
    look = """
from services.task_queue import TaskQueueService
cursor, more = None, True
while more:
    page = TaskQueueService.list_tasks(status="completed", limit=1000, cursor=cursor)
    for task in page.tasks:
        print(task.id, task.name, task.completed_at.isoformat())
    cursor, more = page.cursor, page.cursor is not None
"""
    program = place.start("-c", look)
    printed, _ = program.communicate(timeout=30)
    assert program.returncode == 0, printed
    finished = {}
    for line in printed.splitlines():
        task_id, name, at = line.split()
        if name not in {"take_stock", "health_check"}:
            finished[task_id] = at
    return finished


def test_the_main_job_does_all_of_it_and_says_where_the_results_lie(place: Place) -> None:
    status, printed = place.run_main()

    assert status == 0, printed
    photographs = [path for path in DATA.iterdir() if path.suffix in {".png", ".jpg"}]
    for photograph in photographs:
        with Image.open(place.output / "thumbnails" / f"{photograph.name}.jpg") as thumbnail:
            assert max(thumbnail.size) == 256
    report = (place.output / "report.md").read_text(encoding="utf-8")
    for path in DATA.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() in report
    assert "| lincoln-gettysburg.txt | word_count | words 278" in report
    with (place.output / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        assert {row["file"] for row in csv.DictReader(file)} == {path.name for path in DATA.iterdir()}
    assert (place.output / "stock.log").read_text(encoding="utf-8").endswith("thumbnails\n")
    # It failed twice and then succeeded.
    assert re.search(r"catalogue\s+│\s+1 │\s+0 │\s+2 │\s+0 │", printed), printed
    for where in ("thumbnails", "catalogue.csv", "report.md", "stock.log"):
        assert f"output/{where}" in printed


def test_a_second_run_keeps_what_the_first_has_done_and_does_what_changed(place: Place) -> None:
    folder = place.path / "mine"
    shutil.copytree(DATA, folder)
    assert place.run_main(folder)[0] == 0
    first = finished_tasks(place)
    (folder / "new.txt").write_text("one two three")
    (place.output / "thumbnails" / "coffee.png.jpg").unlink()

    status, printed = place.run_main(folder)

    assert status == 0, printed
    second = finished_tasks(place)
    assert {task_id: second[task_id] for task_id in first} == first
    kinds = sorted(task_id.removeprefix("default.=").split("-")[0] for task_id in second.keys() - first.keys())
    assert kinds == ["catalogue", "sha256", "thumbnail", "word_count", "write_report"]
    assert f"{len(first) - 3} of them were done by an earlier run: kept." in printed
    assert (place.output / "thumbnails" / "coffee.png.jpg").exists()


def test_a_run_killed_in_the_middle_is_finished_by_the_next_one(place: Place) -> None:
    killed = place.start_main()
    read_line(killed, r"^ +6/\d+ ")
    killed.kill()
    killed.wait()
    before = finished_tasks(place)
    assert len(before) >= 6

    status, printed = place.run_main()

    assert status == 0, printed
    assert "were left unfinished by an earlier run: going on." in printed
    after = finished_tasks(place)
    assert {task_id: after[task_id] for task_id in before} == before
    files = len(list(DATA.iterdir()))
    thumbnails = len(list(DATA.glob("*.[pj][np]g")))
    assert len(after) == files + thumbnails + (files - thumbnails) + 2
    assert (place.output / "report.md").exists()


def test_two_runs_at_the_same_instant_share_the_work(place: Place) -> None:
    programs = [place.start_main(), place.start_main()]

    printed = [program.communicate(timeout=60)[0] for program in programs]

    assert [program.returncode for program in programs] == [0, 0], printed
    files = len(list(DATA.iterdir()))
    assert len(finished_tasks(place)) == 2 * files + 2


def test_a_file_that_cannot_be_read_is_named_and_makes_the_run_fail(place: Place) -> None:
    folder = place.path / "mine"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"not a photograph")
    (folder / "good.txt").write_text("but this is a text")

    status, printed = place.run_main(folder)

    assert status == 1
    assert "thumbnail of broken.png: " in printed
    assert re.search(r"word_count\s+│\s+1 │", printed), printed


@pytest.mark.parametrize("argument", ["nowhere", "empty"])
def test_a_folder_with_nothing_in_it_is_refused(place: Place, argument: str) -> None:
    (place.path / "empty").mkdir()

    status, printed = place.run_main(argument)

    assert status == 2
    assert argument in printed
    assert not place.data_dir.exists()


@pytest.mark.parametrize(
    ("url", "says"),
    [("redis://127.0.0.1:1/0", "127.0.0.1:1"), ("http://localhost", "REDIS_URL"), ("redis+sentinel://x", "REDIS_URL")],
)
def test_without_a_usable_queue_it_says_so_in_words(place: Place, url: str, says: str) -> None:
    place.environment["REDIS_URL"] = url

    status, printed = place.run_main()

    assert status == 1
    assert says in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("name", ["email_jobs.py", "class_handlers.py"])
@pytest.mark.parametrize(("url", "says"), [("redis://127.0.0.1:1/0", "127.0.0.1:1"), ("http://localhost", "REDIS_URL")])
def test_without_a_usable_queue_an_example_says_so_in_words(place: Place, name: str, url: str, says: str) -> None:
    place.environment["REDIS_URL"] = url

    status, printed = place.run_example(name)

    assert (status, "Traceback" in printed) == (1, False), printed
    assert says in printed


def test_ctrl_c_ends_the_main_job_with_nothing_left_running(place: Place) -> None:
    program = place.start_main()
    read_line(program, r"^ +3/\d+ ")
    program.send_signal(signal.SIGINT)

    printed, _ = program.communicate(timeout=40)

    assert program.returncode == 130
    assert "Nothing is lost" in printed
    assert "Traceback" not in printed


def test_on_a_terminal_the_main_job_shows_a_bar_and_the_same_table(place: Place) -> None:
    controller, terminal = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, MAIN, "--output", place.output],
        cwd=place.path,
        env={**place.environment, "TERM": "xterm"},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        while piece := _read(controller):
            shown += piece
        assert program.wait(timeout=30) == 0, shown.decode()
    finally:
        os.close(controller)
        program.kill()
        program.wait()
    assert "━".encode() in shown
    assert b"What was done" in shown


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65536)
    except OSError:  # what Linux says when the other end is closed
        return b""


def test_a_main_written_for_the_earlier_system_runs_unchanged(place: Place) -> None:
    program = place.start(S0_MAIN)
    assert read_line(program, r"^Queued ").count(" and ") == 1
    read_line(program, r"^Scheduled ")
    read_line(program, r"^Pending: \d+, Active: 2$")
    read_line(program, r"^Email sent after 0 retries")
    program.send_signal(signal.SIGINT)

    printed, _ = program.communicate(timeout=40)

    assert program.returncode == 0, printed
    assert printed.splitlines()[-1] == "Stopped"
    assert "Shutting down..." in printed


@pytest.mark.parametrize("name", ["fastapi_worker_api.py", "fastapi_tasks.py"])
def test_a_web_application_is_started_as_a_script_and_ended_with_ctrl_c(place: Place, name: str) -> None:
    program = place.start_example(name, "0")
    read_line(program, "Uvicorn running on http://127.0.0.1:")
    program.send_signal(signal.SIGINT)

    printed, _ = program.communicate(timeout=40)

    assert "Traceback" not in printed
    assert "Application shutdown complete." in printed


def test_the_readme_lists_each_example() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in EXAMPLES.glob("*.py") if f"]({path.name})" not in readme] == []


def test_make_alone_lists_the_doors() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True).stdout

    for door in ("run", "test", "check", "bench"):
        assert re.search(rf"^  make {door} +\S", printed, re.MULTILINE)


def test_make_refuses_a_python_too_old_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 1\necho Python 3.9.2\n')
    old.chmod(0o755)

    refused = subprocess.run(
        ["make", "run", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert refused.returncode != 0
    assert "needs Python 3.11 or newer" in refused.stderr
    assert "Python 3.9.2" in refused.stderr
    assert not (tmp_path / "venv").exists()
