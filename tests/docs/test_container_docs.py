"""The pages about the container, followed to the letter: files are written, commands run, outputs compared.

A page is read from top to bottom, in a folder of its own. A Python block that begins with a file's name becomes that
file; in a console block each command is run and must print what follows it. A line of three dots stands for any lines,
three dots at the end of a line for the rest of it. A server runs while the commands after it ask it with curl.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from singleton_service import ServiceState
from tests.users_pytest import plugin_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    "tutorial/first-services.md",
    "howto/fastapi.md",
    "howto/flask.md",
    "howto/django.md",
    "howto/scripts.md",
    "howto/pytest.md",
    "howto/test-your-tasks.md",
    "howto/prefork.md",
    "howto/optional-services.md",
    "howto/threads-and-processes.md",
]
EXPLANATIONS = ["explanation/services.md", "explanation/why-classes.md", "explanation/comparison.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w/]+(?:\.\w+)+)\n")
PORT = "8000"
PATIENCE_S = 30.0
SERVERS = ("uvicorn", "flask", "gunicorn")


def blocks(page: str) -> Iterator[tuple[str, str]]:
    yield from BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def commands(console: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a block with the output that follows it."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def assert_prints(command: str, printed: str, said: str) -> None:
    pattern = ""
    for line in said.rstrip().splitlines():
        if line == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += r".*".join(re.escape(part) for part in line.rstrip().split("...")) + r" *\n"
    assert re.fullmatch(pattern, f"{printed.rstrip()}\n" if printed.strip() else ""), (
        f"$ {command} printed:\n{printed}\nthe page says:\n{said}"
    )


def wait_until(condition: Callable[[], object], explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.01)


class Reader:
    """Somebody who does what a page says, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self._awaited: tuple[str, str] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE"))}
        return {**kept, "PYTHONPATH": f"{self.folder}:{ROOT}", "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}

    def write(self, block: str) -> None:
        if named := NAMED.match(block):
            path = self.folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, encoding="utf-8")

    def type(self, command: str, output: str) -> None:
        words = shlex.split(command)
        if words[0] in SERVERS or "runserver" in words:
            self.serve(command, output)
        elif words[0] == "curl":
            assert_prints(command, self.ask(words), output)
        elif words[0] in {"python", "pytest"}:
            self.leave()
            assert_prints(command, self.run(words), output)
        else:
            assert command.startswith(("pip install ", "make ")), f"no test runs {command}"

    def arguments(self, words: list[str]) -> list[str]:
        """Return a command line for this very Python."""
        ported = [word.replace(PORT, self._port) for word in words]
        if words[0] == "python":
            return [sys.executable, "-W", "error", *ported[1:]]
        if words[0] == "pytest":
            return [
                sys.executable,
                "-W",
                "error",
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                *plugin_options(),
                *ported[1:],
            ]
        return [sys.executable, "-m", *ported]

    def run(self, words: list[str]) -> str:
        done = subprocess.run(
            self.arguments(words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE_S,
            check=False,
        )
        return done.stdout

    def serve(self, command: str, output: str) -> None:
        self.leave()
        with self.log.open("wb") as log:
            self._server = subprocess.Popen(
                self.arguments(shlex.split(command)), cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        self._awaited = (command, output)
        wait_until(self.answers, lambda: self.log.read_text(encoding="utf-8"))

    def answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, self.log.read_text(encoding="utf-8")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self._port))) == 0

    def ask(self, words: list[str]) -> str:
        [url] = [word for word in words if word.startswith("http://")]
        method = words[words.index("-X") + 1] if "-X" in words else "GET"
        return httpx.request(method, url.replace(PORT, self._port), timeout=PATIENCE_S).text

    def leave(self) -> None:
        """End the server as Ctrl-C does, and compare what it printed."""
        if self._server is None or self._awaited is None:
            return
        server, (command, output) = self._server, self._awaited
        self._server = self._awaited = None
        server.send_signal(signal.SIGINT)
        try:
            server.wait(PATIENCE_S)
        finally:
            server.kill()
            server.wait()
        assert_prints(command, self.log.read_text(encoding="utf-8"), output)

    def close(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed_to_the_letter(page: str, reader: Reader) -> None:
    ran = 0
    for language, block in blocks(page):
        if language == "python":
            assert NAMED.match(block), f"this block has no file name, so no test runs it:\n{block}"
            reader.write(block)
        elif language in {"toml", "ini"}:
            reader.write(block)
        elif language == "console":
            for command, output in commands(block):
                reader.type(command, output)
                ran += 1
    reader.leave()
    assert ran, f"{page} shows no command"


@pytest.mark.parametrize("page", EXPLANATIONS)
def test_the_python_of_an_explanation_runs(page: str, reader: Reader) -> None:
    python = "\n".join(block for language, block in blocks(page) if language == "python")
    (reader.folder / "page.py").write_text(python, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        cwd=reader.folder,
        env=reader.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_state_diagram_has_the_states_there_are() -> None:
    [diagram] = [text for language, text in blocks("explanation/services.md") if language == "mermaid"]
    drawn = set(re.findall(r"^ *(\w+) --> ", diagram, re.MULTILINE))
    assert {name.replace("_", " ") for name in drawn} == {state.value for state in ServiceState}


def test_the_index_links_to_every_page() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)\)", text))
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"index.md"}
    assert there - linked == set()


def test_every_row_of_the_comparison_has_a_script_and_every_script_a_row() -> None:
    text = (DOCS / "explanation/comparison.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "singleton-service |" not in line]
    named = [re.search(r"claims/(\w+)\.py\)", row) for row in rows]
    assert all(named), "a claim without its script"
    scripts = {path.stem for path in (ROOT / "benchmarks/container/claims").glob("*.py")} - {"__main__", "page"}
    assert {match[1] for match in named if match} == scripts
