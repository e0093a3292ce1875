from __future__ import annotations

import os
from pathlib import Path

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.engine import EngineError, open_engine
from singleton_service.background.engine.private_dir import socket_path_for


def test_a_given_server_is_not_connected_to() -> None:
    engine = open_engine(Settings(redis_url="redis://user:hunter2@nowhere.invalid:1/0"))

    assert not engine.is_embedded
    assert engine.url == "redis://user:hunter2@nowhere.invalid:1/0"
    assert engine.display_url == "redis://user:***@nowhere.invalid:1/0"
    assert engine.connection(3.0).socket_timeout == 3.0

    engine.close()
    engine.close()


@pytest.mark.parametrize(
    ("url", "may"), [("redis://127.0.0.1", True), ("rediss://example", True), ("unix:///run/redis.sock", False)]
)
def test_any_connection_may_fall_silent_but_one_through_a_socket_file(url: str, *, may: bool) -> None:
    assert open_engine(Settings(redis_url=url)).may_fall_silent is may


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)

    with pytest.raises(EngineError, match="TASKS_DATA_DIR"):
        open_engine(Settings(redis_url=None, data_dir=None))


def test_a_socket_lies_in_its_data_directory_if_the_path_is_short_enough(tmp_path: Path) -> None:
    room = 100 - len(os.fsencode(tmp_path)) - len("//server.sock") - 1
    for length, is_inside in ((room, True), (room + 1, False)):
        data_dir = tmp_path / ("x" * length)
        data_dir.mkdir(mode=0o700)

        path = socket_path_for(data_dir)

        assert len(os.fsencode(path)) < 100
        assert (path.parent == data_dir) is is_inside
