"""The process of a web app under `dev`, whose parent may be gone before it has begun."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.unit.cli.test_frame import environment

if TYPE_CHECKING:
    from pathlib import Path

APP = "async def app(scope, receive, send):\n    raise AssertionError('nobody asks')\n"


def test_an_app_whose_parent_is_gone_ends_however_early_that_was(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(APP)
    ours, theirs = socket.socketpair()
    ours.close()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with theirs:
        command = [sys.executable, "-m", "singleton_service.background.cli.web", "page:app", "127.0.0.1", str(port)]
        ended = subprocess.run(
            [*command, "--line", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert "the supervisor is gone" in ended.stderr
