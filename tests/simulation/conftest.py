"""One server for all seeds, with nobody else's keys on it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singleton_service.background.engine import Engine


@pytest.fixture(scope="session")
def server() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="sim-") as directory:
        engine = open_engine(Settings(data_dir=Path(directory)))
        yield engine
        engine.close()
