from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.engine import supervisor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def in_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_server_has_no_network_and_never_evicts() -> None:
    arguments = supervisor.server_arguments("/bin/server", "server.sock", "no")
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))

    assert arguments[0] == "/bin/server"
    assert options["--port"] == "0"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "no"


def test_an_fsync_that_cannot_be_read_is_the_safest(tmp_path: Path) -> None:
    assert supervisor.read_fsync() == "always"
    for word, expected in (("everysec", "everysec"), ("no\n", "no"), ("", "always"), ("rubbish", "always")):
        (tmp_path / supervisor.FSYNC_FILE).write_text(word)
        assert supervisor.read_fsync() == expected


def test_only_what_a_rewrite_left_behind_is_removed(tmp_path: Path) -> None:
    for name in ("temp-rewriteaof-bg-7.aof", "temp-7.rdb", "temp-notes.txt", "server.log"):
        (tmp_path / name).touch()

    supervisor.remove_leftovers()

    assert {path.name for path in tmp_path.iterdir()} == {"temp-notes.txt", "server.log"}


def test_a_number_is_read_from_a_lock_file_only_if_there_is_one(tmp_path: Path) -> None:
    for text, expected in (("", 0), ("4711", 4711), ("rubbish", 0)):
        (tmp_path / "lock").write_text(text)
        fd = os.open("lock", os.O_RDONLY)
        assert supervisor.read_pid(fd) == expected
        os.close(fd)


def test_nobody_is_killed_where_no_number_was_written() -> None:
    supervisor.kill_group(0, 9)
    supervisor.kill_group(1, 9)


def test_where_nobody_listens_there_is_no_answer(tmp_path: Path) -> None:
    assert supervisor.ask(str(tmp_path / "none.sock"), "PING") == b""


def test_a_log_that_grew_long_is_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / supervisor.LOG_FILE
    program = f"import runpy; runpy.run_path({supervisor.__file__!r})['bound_log']()"
    for size, is_moved in ((1000, False), (1 << 21, True)):
        log.write_bytes(b"x" * size)

        with log.open("ab") as stdout:
            subprocess.run([sys.executable, "-c", program], stdout=stdout, check=True)

        assert (log.stat().st_size == 0) is is_moved
        assert (tmp_path / f"{supervisor.LOG_FILE}.1").exists() is is_moved
