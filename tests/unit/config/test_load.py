from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest

from singleton_service.background.config import ConfigError, Settings
from singleton_service.background.config.load import load_settings
from singleton_service.background.config.model import model_of

UNREADABLE = "/proc/self/mem"  # an input/output error at the first byte


def test_a_bad_value_names_variable_value_rule_and_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "1")

    with pytest.raises(ConfigError) as caught:
        load_settings()

    assert str(caught.value) == (
        "TASKS_LEASE_SECONDS='1' (from the environment): must be a number from 2 to 300. "
        "Change it, or remove it to use the default, 5."
    )


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch, bare_environment: Path) -> None:
    monkeypatch.setenv("TASKS_MAX_RESULTS", "many")
    monkeypatch.setenv("TASKS_SAMPLE_HANDLERS", "perhaps")
    (bare_environment / ".env").write_text("TASKS_EMBEDDED_FSYNC=never\n")

    with pytest.raises(ConfigError) as caught:
        load_settings()

    problems = {problem.variable: problem for problem in caught.value.problems}
    assert set(problems) == {"TASKS_MAX_RESULTS", "TASKS_SAMPLE_HANDLERS", "TASKS_EMBEDDED_FSYNC"}
    assert "a whole number from 0" in problems["TASKS_MAX_RESULTS"].rule
    assert "true or false" in problems["TASKS_SAMPLE_HANDLERS"].rule
    assert problems["TASKS_EMBEDDED_FSYNC"].rule == "must be one of always, no, everysec"
    assert problems["TASKS_EMBEDDED_FSYNC"].origin == str(bare_environment / ".env")


def test_a_bad_url_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "http://user:hunter2@host:6379/0")

    with pytest.raises(ConfigError) as caught:
        load_settings()

    assert "REDIS_URL='http://user:***@host:6379/0'" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_config_error_survives_pickling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_NAMESPACE", "a b")

    with pytest.raises(ConfigError) as caught:
        load_settings()

    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.problems == caught.value.problems
    assert str(copy) == str(caught.value)


def test_an_unknown_variable_is_warned_about_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TASKS_LEASE_SECOND", "9")
    monkeypatch.setenv("TASKS_REDIS_URL", "redis://user:hunter2@host")
    monkeypatch.setenv("TASKS_XYZZY", "1")

    with caplog.at_level(logging.WARNING, "singleton_service"):
        assert model_of(load_settings()) == Settings()

    assert "TASKS_LEASE_SECOND (from the environment) is ignored: did you mean TASKS_LEASE_SECONDS?" in caplog.text
    assert "did you mean REDIS_URL?" in caplog.text
    assert "TASKS_XYZZY" in caplog.text
    assert "hunter2" not in caplog.text


def test_known_variables_are_not_warned_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "9")

    load_settings()

    assert not caplog.records


def test_a_dot_env_that_is_not_text_is_named(bare_environment: Path) -> None:
    (bare_environment / ".env").write_bytes(b"TASKS_NAMESPACE=\xff\xfe\n")

    with pytest.raises(ConfigError, match=r"\.env.*cannot be read") as caught:
        load_settings()

    assert str(bare_environment / ".env") in str(caught.value)


@pytest.mark.skipif(not Path(UNREADABLE).exists(), reason="no file here that even root cannot read")
def test_a_dot_env_that_cannot_be_read_is_named(bare_environment: Path) -> None:
    (bare_environment / ".env").symlink_to(UNREADABLE)

    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_settings()

    assert str(bare_environment / ".env") in str(caught.value)


def test_a_folder_named_dot_env_is_left_alone(bare_environment: Path) -> None:
    (bare_environment / ".env").mkdir()

    assert model_of(load_settings()) == Settings()
