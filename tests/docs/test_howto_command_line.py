"""The page on the command line, followed to the letter: every command is run, every output compared.

What differs from run to run is taken out first: ids are told apart by the order in which they come, times, directories
and the number of spaces between columns don't count. Lines after a debugger's prompt are typed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.test_container_docs import NAMED, ROOT, assert_prints, blocks, commands

if TYPE_CHECKING:
    from collections.abc import Callable

ID = re.compile(r"\bdefault\.[0-9a-z]{20}\b")
TYPED = re.compile(r"^\(Pdb\) (.+)\n", re.MULTILINE)
VARYING = [
    (re.compile(r"\d{4}-\d\d-\d\d "), "DATE "),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)?(ms|s|m|h|d)\b( ago)?"), "AGE"),
    (re.compile(r"/[\w./-]+/(tasks\.py)"), r"DIRECTORY/\1"),
    (re.compile(r"/home/ada/(tasks|[\w./-]*singleton-service/[\w-]+)"), "DATA"),
    (re.compile(r"^ +[~^]+$\n", re.MULTILINE), ""),  # Python 3.11 and 3.13 do not point at quite the same
    (re.compile(r" {2,}"), "  "),
]


class Shell:
    """Somebody at a prompt in an empty folder, with a queue of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._ids: dict[str, str] = {}
        left_out = ("TASKS_", "REDIS_", "NO_COLOR", "COLUMNS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        self._environment = {**kept, "PYTHONPATH": f"{folder}:{ROOT}", "TASKS_DATA_DIR": str(self.data)}

    def type(self, command: str, said: str) -> None:
        for written, real in self._ids.items():
            command = command.replace(written, real)
        line = command.replace("singleton-service", f"{sys.executable} -m singleton_service")
        typed = "".join(f"{text}\n" for text in TYPED.findall(said))
        done = subprocess.run(
            ["bash", "-c", re.sub(r"^python ", f"{sys.executable} ", line)],
            cwd=self.folder,
            env=self._environment,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        self._learn(said, done.stdout)
        for written, real in self._ids.items():
            said = said.replace(written, real)
        assert_prints(command, self.plain(done.stdout), self.plain(TYPED.sub("(Pdb) ", said)))

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or runs in the queue."""
        done = subprocess.run(
            [sys.executable, "-m", "singleton_service", "queues", "list", "--json"],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            timeout=60,
            check=True,
        )
        return not any(queue["pending"] + queue["running"] for queue in json.loads(done.stdout)["queues"])

    def _learn(self, said: str, printed: str) -> None:
        """Take ids that are new on the page for those that are new here, in their order."""
        new = [each for each in dict.fromkeys(ID.findall(said)) if each not in self._ids]
        here = [each for each in dict.fromkeys(ID.findall(printed)) if each not in self._ids.values()]
        self._ids.update(zip(new, here, strict=False))

    def plain(self, text: str) -> str:
        """Return text without what differs from run to run."""
        text = text.replace(str(self.data), "/home/ada/tasks")
        for pattern, instead in VARYING:
            text = pattern.sub(instead, text)
        return re.sub(r" +$", "", text, flags=re.MULTILINE)


def test_the_page_can_be_followed_to_the_letter(until: Callable[..., object]) -> None:
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="howto-") as directory:
        shell = Shell(Path(directory))
        ran = 0
        for language, block in blocks("howto/command-line.md"):
            if language == "python":
                named = NAMED.match(block)
                assert named, f"this block has no file name:\n{block}"
                (shell.folder / named[1]).write_text(block, encoding="utf-8")
            elif language == "console":
                for command, said in commands(block):
                    if not command.startswith("pip install "):
                        shell.type(command, said)
                        ran += 1
        assert ran > 20
        until(lambda: not (shell.data / "server.sock").exists())
