"""Code in the manner of the earlier container's examples works as its authors left it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Optional

import pytest

from singleton_service import BaseService, guarded, requires, start
from singleton_service.exceptions import ServiceError, ServiceInitializationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass
class DatabaseConfig:
    """As the examples define one."""

    url: str
    pool_size: int


def config_service() -> type[Any]:
    class ConfigService(BaseService):
        _config: ClassVar[Optional[DatabaseConfig]] = None  # noqa: UP045 - as it was written

        @classmethod
        def initialize(cls) -> None:
            url = os.getenv("DATABASE_URL")
            if not url:
                raise ValueError("DATABASE_URL environment variable is required")
            size = int(os.getenv("DB_POOL_SIZE", "5"))
            if not 1 <= size <= 100:
                raise ValueError(f"DB_POOL_SIZE must be between 1 and 100, got {size}")
            cls._config = DatabaseConfig(url, size)

        @classmethod
        def ping(cls) -> bool:
            return cls._config is not None

        @classmethod
        @guarded
        def get_config(cls) -> DatabaseConfig:
            assert cls._config is not None
            return cls._config

        @classmethod
        @guarded
        def get(cls, key: str, default: object = None) -> object:
            return getattr(cls._config, key, default)

    return ConfigService


def test_a_config_service_of_ones_own_reads_the_environment_at_its_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_service()
    monkeypatch.setenv("DATABASE_URL", "postgresql://db")
    monkeypatch.setenv("DB_POOL_SIZE", "7")
    assert config.get_config() == DatabaseConfig("postgresql://db", 7)
    assert config.get("pool_size") == 7
    assert config.get("colour", "none") == "none"


def test_a_missing_or_bad_variable_is_named_and_read_anew_at_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_service()
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ServiceInitializationError, match=r"Failed to initialize ConfigService.*DATABASE_URL"):
        config.get_config()
    monkeypatch.setenv("DATABASE_URL", "postgresql://db")
    monkeypatch.setenv("DB_POOL_SIZE", "0")
    with pytest.raises(ServiceError, match="DB_POOL_SIZE must be between 1 and 100, got 0"):
        config.get_config()
    monkeypatch.setenv("DB_POOL_SIZE", "1")
    assert config.get_config().pool_size == 1


def test_a_failing_ping_is_told_in_the_words_of_old() -> None:
    class Silent(BaseService):
        @classmethod
        def ping(cls) -> bool:
            return False

    class Loud(BaseService):
        @classmethod
        def ping(cls) -> bool:
            raise OSError("no answer")

    with pytest.raises(ServiceInitializationError, match="Silent: its ping method returned False"):
        start(Silent)
    with pytest.raises(ServiceInitializationError, match="Loud: its ping method raised an exception: OSError: no ans"):
        start(Loud)
    assert not Silent._initialized
    assert not Loud._initialized


def test_a_ping_can_be_called_by_anybody_and_starts_nothing() -> None:
    class Service(BaseService):
        is_open: ClassVar[bool] = False

        @classmethod
        def initialize(cls) -> None:
            cls.is_open = True

        @classmethod
        def ping(cls) -> bool:
            return cls.is_open

    assert Service.ping() is False
    assert not Service._initialized
    start(Service)
    assert Service.ping() is True


def test_resetting_services_by_hand_as_test_suites_do_makes_them_start_anew() -> None:
    starts: list[str] = []

    class Base(BaseService):
        @classmethod
        def initialize(cls) -> None:
            starts.append("Base")

    @requires(Base)
    class Top(BaseService):
        @classmethod
        def initialize(cls) -> None:
            starts.append("Top")

        @classmethod
        @guarded
        def call(cls) -> None: ...

    Top.call()
    for service in (Base, Top):
        service._initialized = False
    Top.call()
    assert starts == ["Base", "Top"] * 2
    Top._initialized = False
    Top._dependencies = set()
    Top.call()
    assert starts == [*["Base", "Top"] * 2, "Top"]


def test_a_cleanup_of_ones_own_and_atexit_are_left_to_their_owner() -> None:
    called: list[str] = []

    class Service(BaseService):
        @classmethod
        def initialize(cls) -> None:
            atexit.register(cls.cleanup)

        @classmethod
        def cleanup(cls) -> None:
            called.append("cleanup")

    start(Service)
    assert not called
    Service.cleanup()
    atexit.unregister(Service.cleanup)
    assert called == ["cleanup"]


def test_an_async_context_manager_under_the_three_decorators_works() -> None:
    class Pool(BaseService):
        @classmethod
        @asynccontextmanager
        @guarded
        async def connection(cls) -> AsyncIterator[str]:
            yield f"connection of {cls.__name__}, started: {cls._initialized}"

    async def use() -> str:
        async with Pool.connection() as connection:
            return connection

    assert asyncio.run(use()) == "connection of Pool, started: True"


def test_what_the_container_has_to_say_goes_to_one_logger(caplog: pytest.LogCaptureFixture) -> None:
    class Service(BaseService):
        @classmethod
        def initialize(cls) -> None: ...

    with caplog.at_level(logging.WARNING):
        Service.initialize()
    assert [record.name for record in caplog.records] == ["singleton_service"]
