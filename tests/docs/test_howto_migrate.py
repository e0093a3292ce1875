"""docs/howto/move-from-a-hand-made-queue.md: its old queue is made, its commands are run, their output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from singleton_service.background.engine.binary import find_server
from tests.conftest import RedisServer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/move-from-a-hand-made-queue.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^```console\n\$ python (-m \S+.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_commands_print_what_the_page_says(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, binary=str(find_server())).start()
    try:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
        environment = {**kept, "PYTHONPATH": str(ROOT), "REDIS_URL": server.url}

        def run(*arguments: str) -> str:
            ran = subprocess.run(
                [sys.executable, *arguments],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (ran.returncode, ran.stderr) == (0, "")
            return ran.stdout.replace(server.url, "redis://localhost:6379/0")

        (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        run("-c", program)
        commands = COMMAND.findall(PAGE)
        assert len(commands) == 2
        for command, output in commands:
            assert run(*command.split()) == output
    finally:
        server.kill()
