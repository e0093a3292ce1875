"""README.md, followed to the letter: every program is run, every output compared."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from tests.docs.test_container_docs import assert_prints as assert_same
from tests.docs.test_container_docs import commands as commands_in
from tests.docs.test_howto_command_line import Shell
from tests.users_pytest import plugin_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [block for language, block in BLOCKS if language == "python"]
FILES = {named[1]: block for block in PYTHON if (named := re.match(r"# (\w+\.py)\n", block))}
SNIPPETS = [block for block in PYTHON if not re.match(r"# \w+\.py\n", block)]

# Snippets talk to workers, as the text around them says.
SURROUNDINGS = "import tasks\nfrom services.worker import WorkerService\nWorkerService.start_workers()\n"


def commands() -> dict[str, str]:
    """Return what the README has a reader type, and what it says they then see."""
    found: dict[str, str] = {}
    for language, block in BLOCKS:
        if language == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                found[command] = output
    return found


COMMANDS = commands()


def plain(text: str) -> str:
    """Return text without what differs from run to run: ids, directories, a count of seconds, trailing spaces."""
    text = re.sub(r"\bdefault\.[0-9a-z]{20,}", "default.ID", text)
    text = re.sub(r"(data kept in|its data is in) \S+", r"\1 DIRECTORY", text)
    text = re.sub(r"(passed in) .*", r"\1 A MOMENT", text)
    text = re.sub(r"(│ take_stock +│ +)[1-9]\d*( │)", r"\1N\2", text)
    return re.sub(r" +$", "", text, flags=re.MULTILINE).strip() + "\n"


def assert_prints(command: str, printed: str) -> None:
    """Compare; a line of three dots in the README stands for any lines."""
    said = plain(COMMANDS[command]).splitlines(keepends=True)
    pattern = "".join(r"(?:.*\n)*" if line == "...\n" else re.escape(line) for line in said)
    explanation = f"$ {command} printed:\n{printed}\nREADME.md says:\n{COMMANDS[command]}"
    assert re.fullmatch(pattern, plain(printed)), explanation


@pytest.fixture
def folder() -> Iterator[Path]:
    """A reader's folder, with the README's files in it and a server of its own."""
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="readme-") as directory:
        folder = Path(directory)
        for name, source in FILES.items():
            (folder / name).write_text(source, encoding="utf-8")
        yield folder
        wait_until(lambda: not (folder / "data" / "server.sock").exists())


def wait_until(condition: Callable[[], Any], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
    return {**kept, "TASKS_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


def run(folder: Path, *arguments: object) -> str:
    """Run Python in the folder; return what it printed, to either stream."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Running:
    """A program that runs until it is interrupted."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", *arguments],
                cwd=folder,
                env=environment(folder),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def printed(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            assert self._process.wait(20) == 0, self.printed
        finally:
            self._process.kill()
            self._process.wait()


def test_the_smallest_program_prints_what_the_readme_says(folder: Path) -> None:
    assert_prints("python hello.py", run(folder, "hello.py"))


def test_a_worker_does_what_a_script_hands_over(folder: Path) -> None:
    with Running(folder, "worker.py") as worker:
        wait_until(lambda: "Started" in worker.printed)
        assert_prints("python shop.py", run(folder, "shop.py"))
        assert_prints("python worker.py", worker.printed)


def test_a_shell_is_all_it_takes(folder: Path) -> None:
    shell = Shell(folder)
    said = README.partition("### From a shell")[2].partition("### A FastAPI")[0]
    first, *rest = [
        each
        for block in re.findall(r"^```console\n(.*?)^```$", said, re.MULTILINE | re.DOTALL)
        for each in commands_in(block)
    ]
    assert first[0] == "singleton-service worker reports"
    is_mended = False
    while rest:
        with Running(folder, "-m", "singleton_service", "worker", "reports") as worker:
            wait_until(lambda: "Started" in worker.printed)
            assert_same(first[0], shell.plain(worker.printed), shell.plain(first[1]))
            while rest and (is_mended or "retry" not in rest[0][0]):
                command, output = rest.pop(0)
                shell.type(command, output)
                if command.startswith(("singleton-service enqueue", "singleton-service failed retry")):
                    wait_until(lambda: shell.is_idle)
        reports = folder / "reports.py"
        reports.write_text(reports.read_text().replace("len(orders)\n", "len(orders) if orders else 0.0\n"))
        is_mended = True


def test_the_application_answers_as_the_readme_says(folder: Path) -> None:
    assert "uvicorn app:app" in COMMANDS
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Running(folder, "-m", "uvicorn", "app:app", "--port", str(port)) as server:
        wait_until(lambda: "Uvicorn running" in server.printed)
        for command in COMMANDS:
            if command.startswith("curl "):
                assert_prints(command, curl(command.replace(":8000", f":{port}")))
        wait_until(lambda: server.printed.count("to ada@example.com") == 2)


def test_the_test_passes_as_the_readme_says(folder: Path) -> None:
    printed = run(folder, "-m", "pytest", "-p", "no:cacheprovider", *plugin_options(), "-q", "test_shop.py")
    assert_prints("pytest -q test_shop.py", printed)


def curl(command: str) -> str:
    """Do what a curl command of the README does, where curl itself may be missing."""
    words = shlex.split(command)
    after = {flag: words[words.index(flag) + 1] for flag in ("-X", "-H", "-d") if flag in words}
    [url] = [word for word in words if word.startswith("http://")]
    name, _, value = after.get("-H", "accept: */*").partition(": ")
    answer = httpx.request(after["-X"], url, headers={name: value}, content=after.get("-d"), timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_every_snippet_runs_one_after_the_other(folder: Path) -> None:
    (folder / "snippets.py").write_text("\n".join([SURROUNDINGS, *SNIPPETS]), encoding="utf-8")
    printed = run(folder, "snippets.py")
    assert "{'status': 'sent'}" in printed
    assert "completed 0 ()" in printed


def test_the_main_job_prints_what_the_readme_says(folder: Path) -> None:
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    assert_prints("make run", run(folder, "examples/main.py"))


def test_make_alone_prints_what_the_readme_says() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert_prints("make", done.stdout)


def test_every_command_of_the_readme_is_run_by_a_test() -> None:
    run_here = {"python hello.py", "python worker.py", "python shop.py", "uvicorn app:app", "make run", "make"}
    run_here |= {"pytest -q test_shop.py"}
    others = {
        command for command in COMMANDS if not command.startswith(("pip install ", "curl ", "singleton-service "))
    }
    assert others == run_here


def test_figures_of_speed_are_those_that_make_bench_wrote() -> None:
    page = (ROOT / "docs/explanation/benchmarks.md").read_text(encoding="utf-8")
    measured = set(re.findall(r"[\d,.]*\d", page))
    section = README.split("## How fast it is\n")[1].split("\n## ")[0]
    cells = [cell for row in re.findall(r"^\|.*\|$", section, re.MULTILINE)[2:] for cell in row.split("|")[2:-1]]
    figures = [figure for cell in cells if (figure := cell.split("(")[0].strip())]
    assert len(figures) > 20
    assert [figure for figure in figures if figure not in measured] == []
    assert re.findall(r"\d{4}-\d\d-\d\d", section) == re.findall(r"\d{4}-\d\d-\d\d", page)[:1]
