from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from singleton_service.background.config import Settings


def test_every_setting_has_a_default_and_a_meaning() -> None:
    settings = Settings()

    assert settings.redis_url is None
    assert settings.namespace == "tasks"
    assert settings.lease_seconds == 5
    assert settings.max_payload_bytes == 1024 * 1024
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_is_read_under_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://example:6380/2")
    monkeypatch.setenv("TASKS_NAMESPACE", "shop")
    monkeypatch.setenv("TASKS_SAMPLE_HANDLERS", "no")
    monkeypatch.setenv("TASKS_MAX_RESULTS", " 7 ")

    settings = Settings()

    assert settings.redis_url == "redis://example:6380/2"
    assert settings.namespace == "shop"
    assert settings.sample_handlers is False
    assert settings.max_results == 7


def test_dot_env_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, bare_environment: Path) -> None:
    (bare_environment / ".env").write_text("\ufeffTASKS_NAMESPACE=from-file\nexport TASKS_LEASE_SECONDS='9'\n")
    monkeypatch.setenv("TASKS_NAMESPACE", "from-environment")

    settings = Settings()

    assert settings.namespace == "from-environment"
    assert settings.lease_seconds == 9


def test_a_variable_set_to_nothing_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "  ")

    assert Settings() == Settings(redis_url=None, lease_seconds=5)


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_NAMESPACE", "shop")

    assert Settings(namespace="test").namespace == "test"


def test_settings_are_frozen() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.namespace = "other"


def test_a_password_is_shown_nowhere_but_in_redis_url() -> None:
    settings = Settings(redis_url="redis://user:hunter2@host:6379/0")

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)
    assert "redis://user:***@host:6379/0" in repr(settings)
    assert settings.redis_url == "redis://user:hunter2@host:6379/0"


def test_a_refused_password_is_not_in_the_error() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(redis_url="redis://user:hunt/er2@host:6379/0")

    assert "er2" not in str(caught.value)


def test_settings_survive_pickling() -> None:
    settings = Settings(namespace="shop", data_dir=Path("/data"))

    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_data_dir_is_made_absolute(bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    assert Settings(data_dir=Path("queue")).data_dir == bare_environment / "queue"
    assert Settings(data_dir=Path("~/queue")).data_dir == Path("/home/somebody/queue")


def test_the_resolved_data_dir_is_the_one_given() -> None:
    assert Settings(data_dir=Path("/data")).resolved_data_dir() == Path("/data")


@pytest.mark.parametrize("name", ["a", "_", "9", "shop.v2-staging_1", "x" * 64])
def test_these_are_namespaces(name: str) -> None:
    assert Settings(namespace=name).namespace == name


@pytest.mark.parametrize("name", ["", ".", "-a", "a b", "a:b", "{a}", "é", "x" * 65, "a\n"])
def test_these_are_no_namespaces(name: str) -> None:
    with pytest.raises(ValidationError, match="namespace"):
        Settings(namespace=name)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lease_seconds", 1.9),
        ("lease_seconds", 301),
        ("lease_seconds", float("nan")),
        ("max_payload_bytes", 0),
        ("max_payload_bytes", 512 * 1024 * 1024 + 1),
        ("max_results", -1),
        ("result_ttl_seconds", float("inf")),
        ("retry_base_seconds", -1),
        ("embedded_fsync", "sometimes"),
        ("data_dir", Path("~nobody-of-that-name/x")),
        ("data_dir", Path("a\0b")),
    ],
)
def test_a_value_out_of_range_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings(**{field: value})


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(ValidationError, match="lease_second"):
        Settings(lease_second=5)
