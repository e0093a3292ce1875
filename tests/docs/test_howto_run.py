"""The page on running workers: each command on it is run, one after the other, and what it prints compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/run-workers.md").read_text(encoding="utf-8")
MODULE = re.search(r"^```python\n(# jobs\.py\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SESSIONS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CALL = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
# What differs from run to run, or depends on the machine, and how the page has it.
ALIKE = (
    (r"\b(default|critical)\.[0-9a-z]{20,}", r"\1.1a2b3c4d5e6f7g8h9j0k"),
    (r"pid \d+", "pid 4711"),
    (r"worker \S+:\d+:[0-9a-f]+ is lost", "worker web-1:4711:5f3e8a1c9b2d7e60 is lost"),
    # When the last user of the embedded server has gone, so does the server, and who comes next may meet it or not.
    (r"info: embedded server started.*\n", ""),
)


def alike(text: str) -> str:
    for pattern, word in ALIKE:
        text = re.sub(pattern, word, text)
    return text


def test_each_command_prints_what_the_page_says(until: Callable[..., object]) -> None:
    assert MODULE
    assert len(SESSIONS) == 3
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="howto-") as directory:
        folder = Path(directory).resolve()
        (folder / "jobs.py").write_text(MODULE[1], encoding="utf-8")
        data = folder / "data"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
        environment = {**kept, "PYTHONPATH": str(ROOT), "TASKS_DATA_DIR": str(data)}
        status = 0
        for session in SESSIONS:
            for command, output in CALL.findall(session):
                if command == "echo $?":
                    assert output == f"{status}\n"
                    continue
                name, *arguments = command.split()
                assert name == "singleton-service"
                ran = subprocess.run(
                    [sys.executable, "-m", "singleton_service", *arguments],
                    cwd=folder,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=60,
                    check=False,
                )
                status = ran.returncode
                said = ran.stdout.replace(str(data), "~/.local/share/singleton-service/shop-1f0c2b7a9e")
                assert alike(said.replace(str(folder), "~/shop")) == alike(output), command
        until(lambda: not (data / "server.sock").exists())
