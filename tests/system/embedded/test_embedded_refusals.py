from __future__ import annotations

import os
import pickle
import shlex
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.engine import EngineError, embedded, open_engine
from singleton_service.background.engine.binary import find_server

if TYPE_CHECKING:
    from tests.system.embedded.conftest import Home


def fill_and_stop(home: Home) -> None:
    with closing(open_engine(Settings(redis_url=None, data_dir=home.path))) as engine:
        connection = engine.connection()
        connection.connect()
        for number in range(20):
            assert connection.call(("RPUSH", "list", f"value-{number}")) == [number + 1]
        connection.disconnect()
    home.wait_until(home.is_asleep)


def refusal(data_dir: Path) -> EngineError:
    with pytest.raises(EngineError) as caught:
        open_engine(Settings(redis_url=None, data_dir=data_dir)).close()
    error = caught.value
    assert str(error) == str(pickle.loads(pickle.dumps(error)))
    assert error.fix in str(error)
    return error


def test_a_damaged_file_is_named_with_the_way_to_repair_it(home: Home) -> None:
    fill_and_stop(home)
    (journal,) = (home.path / "appendonlydir").glob("*.incr.aof")
    content = journal.read_bytes()
    journal.write_bytes(content[:200] + b"?" * 50 + content[250:])

    error = refusal(home.path)

    assert "damaged" in error.what
    assert error.where == str(home.path)
    assert "Bad file format" in error.log_tail
    assert "the server's last words" in str(error).lower()
    home.wait_until(home.is_asleep)

    # The command in the advice works as it is written.
    command = error.fix.partition("(run: ")[2].partition("), or")[0]
    subprocess.run(shlex.split(command), input=b"y\n", check=True, capture_output=True)
    open_engine(Settings(redis_url=None, data_dir=home.path)).close()


def test_a_half_written_last_command_is_no_damage(home: Home) -> None:
    fill_and_stop(home)
    (journal,) = (home.path / "appendonlydir").glob("*.incr.aof")
    journal.write_bytes(journal.read_bytes()[:-5])

    open_engine(Settings(redis_url=None, data_dir=home.path)).close()


def test_data_of_a_newer_server_is_named_as_such(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_and_stop(home)
    (base,) = (home.path / "appendonlydir").glob("*.base.rdb")
    content = base.read_bytes()
    base.write_bytes(content[:6] + b"999" + content[9:])

    assert "newer server" in refusal(home.path).what


def test_a_server_that_cannot_be_run_is_told_with_its_last_words(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "valkey-server"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded, "find_server", lambda: broken)

    error = refusal(home.path)

    assert "ended while it was being started" in error.what
    assert f"{broken} cannot be run" in error.log_tail


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server on PATH")
def test_debians_redis_will_do_as_well(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: Path(shutil.which("redis-server") or ""))

    fill_and_stop(home)

    open_engine(Settings(redis_url=None, data_dir=home.path)).close()
    monkeypatch.setattr(embedded, "find_server", find_server)
    home.wait_until(home.is_asleep)
    open_engine(Settings(redis_url=None, data_dir=home.path)).close()


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(home: Home) -> None:
    home.path = home.path / ("deep" * 20) / ("deeper" * 20)

    with (
        closing(open_engine(Settings(redis_url=None, data_dir=home.path))) as first,
        closing(open_engine(Settings(redis_url=None, data_dir=home.path))) as second,
    ):
        assert first.url == second.url
        path = Path(first.url.removeprefix("unix://"))
        assert len(os.fsencode(path)) < 100
        assert path.parent.stat().st_mode & 0o077 == 0
        connection = second.connection()
        connection.connect()
        connection.disconnect()
    home.wait_until(lambda: not path.exists())


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    error = refusal(tmp_path / "data")

    assert "not a directory" in error.what
    assert "TASKS_DATA_DIR" in error.fix
    assert "not" in refusal(tmp_path / "data" / "below").what.lower()


def test_an_open_directory_with_foreign_things_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir(mode=0o755)
    (tmp_path / "project").chmod(0o755)
    (tmp_path / "project" / "main.py").touch()

    error = refusal(tmp_path / "project")

    assert "open to other users (mode 0755)" in error.what
    assert "chmod 700" in error.fix
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["main.py"]


def test_an_open_empty_directory_is_closed_and_used(home: Home) -> None:
    home.path.mkdir()
    home.path.chmod(0o755)

    open_engine(Settings(redis_url=None, data_dir=home.path)).close()

    assert home.path.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    somebody_elses = Path("/")
    if os.geteuid() == 0:
        somebody_elses = tmp_path / "theirs"
        somebody_elses.mkdir(mode=0o700)
        os.chown(somebody_elses, 65534, 65534)

    error = refusal(somebody_elses)

    assert "belongs to user" in error.what
    assert "chown" in error.fix


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "users.lock").mkdir(parents=True, mode=0o700)

    error = refusal(tmp_path / "data")

    assert error.where == str(tmp_path / "data" / "users.lock")
