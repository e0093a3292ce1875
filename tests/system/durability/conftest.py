from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.engine.binary import find_server
from tests.conftest import REDIS_SERVER, WITHOUT_REDIS, clean_process, wait_until
from tests.system.durability.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["redis", "valkey"])
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Servers]:
    if request.param == "redis" and REDIS_SERVER is None:
        pytest.skip(WITHOUT_REDIS)
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TASKS_DURABILITY_TIMEOUT_SECONDS", "3")
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    of_one_make = Servers(
        REDIS_SERVER if request.param == "redis" and REDIS_SERVER else str(find_server()), tmp_path_factory, monkeypatch
    )
    try:
        with clean_process():
            yield of_one_make
    finally:
        of_one_make.end()


@pytest.fixture
def impatient(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which nothing will be confirmed, however long one waits."""
    monkeypatch.setenv("TASKS_DURABILITY_TIMEOUT_SECONDS", "0.2")


@pytest.fixture
def embedded(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    directory = tmp_path_factory.mktemp("d", numbered=True)
    monkeypatch.setenv("TASKS_DATA_DIR", str(directory))
    monkeypatch.chdir(directory)
    with clean_process():
        yield directory
    wait_until(lambda: not (directory / "server.sock").exists())
