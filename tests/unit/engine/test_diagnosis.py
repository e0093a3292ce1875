from __future__ import annotations

from pathlib import Path

import pytest

from singleton_service.background.engine.diagnosis import failed_start, log_tail


def test_the_tail_is_what_was_written_since_the_start(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("old\n" + "".join(f"line {number}\n" for number in range(50)))

    assert log_tail(log, 4).splitlines() == [f"line {number}" for number in range(38, 50)]
    assert "old" not in log_tail(log, 4)


def test_a_log_that_was_cut_meanwhile_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("new\n")

    assert log_tail(log, 1_000_000) == "new"
    assert log_tail(tmp_path / "none.log") == ""


@pytest.mark.parametrize(
    ("tail", "what"),
    [
        ("# Can't handle RDB format version 999", "newer server"),
        ("# Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup", "damaged"),
        ("# Fatal error loading the DB, check server logs. Permission denied", "may not read or write"),
        ("# Write error: No space left on device", "no room"),
        ("# something else", "ended while it was being started"),
    ],
)
def test_the_cause_is_read_from_the_log(tmp_path: Path, tail: str, what: str) -> None:
    error = failed_start("failed", tmp_path, Path("/usr/bin/valkey-server"), tail)

    assert what in error.what
    assert error.where == str(tmp_path)
    assert "REDIS_URL" in error.fix
    assert error.log_tail == tail


def test_the_repair_names_the_damaged_file_however_it_is_called() -> None:
    tail = "Bad file format reading the append only file appendonly.aof.7.incr.aof: make a backup"

    fix = failed_start("failed", Path("/my data"), Path("/usr/bin/redis-server"), tail).fix

    assert "exec -a redis-check-aof" in fix
    assert "'/my data/appendonlydir/appendonly.aof.7.incr.aof'" in fix


def test_a_server_that_says_nothing_is_told_apart() -> None:
    assert "did not answer in time" in failed_start("late", Path("/d"), Path("/s"), "").what
    assert "supervisor" in failed_start("", Path("/d"), Path("/s"), "").what
