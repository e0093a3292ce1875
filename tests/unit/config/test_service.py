from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import singleton_service
from singleton_service.background.config import ConfigError, ConfigService, Settings
from singleton_service.exceptions import ServiceInitializationError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    singleton_service.stop()
    yield
    singleton_service.stop()


def test_the_settings_are_read_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_NAMESPACE", "shop")
    settings = ConfigService.get_config()
    monkeypatch.setenv("TASKS_NAMESPACE", "other")

    assert settings.namespace == "shop"
    assert ConfigService.get_config() is settings


def test_a_new_start_reads_them_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ConfigService.get_config().namespace == "tasks"
    singleton_service.stop()
    monkeypatch.setenv("TASKS_NAMESPACE", "shop")

    assert ConfigService.get_config().namespace == "shop"


def test_get_reads_one_setting_by_field_or_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "9")

    assert ConfigService.get("lease_seconds") == 9
    assert ConfigService.get("TASKS_LEASE_SECONDS") == 9


def test_get_gives_the_default_for_what_is_unset_or_unknown() -> None:
    assert ConfigService.get("redis_url") is None
    assert ConfigService.get("REDIS_URL", "redis://localhost") == "redis://localhost"
    assert ConfigService.get("model_dump", "no setting") == "no setting"
    assert ConfigService.get("scheduler_cleanup", False) is True


def test_a_bad_setting_stops_the_start_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_NAMESPACE", "a b")

    with pytest.raises(ServiceInitializationError, match="TASKS_NAMESPACE") as caught:
        ConfigService.get_config()

    assert isinstance(caught.value.__cause__, ConfigError)
    monkeypatch.setenv("TASKS_NAMESPACE", "a-b")
    assert ConfigService.get_config() == Settings(namespace="a-b")


def test_the_door_leads_to_the_same_names() -> None:
    from services import config

    assert config.ConfigService is ConfigService
    assert config.__all__ == ["ConfigError", "ConfigService", "Settings"]
