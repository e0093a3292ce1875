"""A queue of its own for each test, on each engine; after the test every invariant is looked at once more."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.engine import open_engine

from .station import Station

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singleton_service.background.engine import Engine

    from .station import Worker


@pytest.fixture(params=["embedded", "redis"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "embedded":
        settings = Settings(data_dir=request.getfixturevalue("embedded_data_dir"))
    else:
        settings = Settings(redis_url=request.getfixturevalue("redis_url"))
    engine = open_engine(settings)
    yield engine
    engine.close()


@pytest.fixture
def station(engine: Engine) -> Iterator[Station]:
    station = Station(engine, f"s{uuid.uuid4().hex[:12]}")
    yield station
    station.check()
    station.erase()
    station.close()


@pytest.fixture
def worker(station: Station) -> Worker:
    return station.worker("w")


@pytest.fixture
def other(station: Station) -> Worker:
    return station.worker("v")
