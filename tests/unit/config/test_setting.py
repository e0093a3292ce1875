"""What is read without pydantic is what pydantic reads; what is not, it judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import singleton_service
from singleton_service import testing
from singleton_service.background.config import ConfigService, PlainSettings, Settings, settings_in_force
from singleton_service.background.config.load import load_settings
from singleton_service.background.config.model import model_of
from singleton_service.background.config.settings import SETTINGS

NUMBERS = st.integers().map(str) | st.floats().map(str) | st.from_regex(r"[0-9]{0,18}\.?[0-9]{0,18}", fullmatch=True)
WORDS = st.sampled_from(
    ["true", "false", "TRUE", "yes", "1", "0", "no", "always", "memory", "~/x", "a/../b", "redis://h"]
)
TEXTS = (NUMBERS | WORDS | st.text(max_size=20)).map(str.strip).filter(bool)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(name=st.sampled_from(sorted(SETTINGS)), text=TEXTS)
def test_what_is_read_plainly_is_what_pydantic_reads(name: str, text: str, bare_environment: Path) -> None:
    try:
        value = SETTINGS[name].read(text)
    except ValueError:
        return

    theirs = getattr(Settings(**{name: text}), name)
    assert (type(value), value) == (type(theirs), theirs)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_people_write_is_plain(name: str) -> None:
    kind: Any = SETTINGS[name].kind
    texts = {int: "1", float: "2.5", bool: "true", str: "redis://localhost:6379/0", Path: "/data"}
    if name == "namespace":
        text = "shop"
    elif kind in texts:
        text = texts[kind]
    else:
        assert kind.__class__ is Literal["a"].__class__
        text = get_args(kind)[0]

    assert SETTINGS[name].read(text) == getattr(Settings(**{name: text}), name)


def test_the_model_says_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_LEASE_SECONDS", "9")
    monkeypatch.setenv("TASKS_MAX_RESULTS", "1_000")

    plain = load_settings()

    assert vars(plain) == {"lease_seconds": 9, "max_results": 1000}
    assert model_of(plain) == Settings()
    assert model_of(plain).model_fields_set == Settings().model_fields_set


def test_plain_settings_are_frozen() -> None:
    with pytest.raises(AttributeError, match="frozen"):
        PlainSettings().namespace = "other"


def test_plain_settings_can_be_made_anew_with_a_change() -> None:
    changed = PlainSettings(namespace="shop").but(lease_seconds=7)

    assert (changed.namespace, changed.lease_seconds, changed.max_results) == ("shop", 7, 100_000)


def test_what_stands_in_for_the_service_says_what_is_in_force() -> None:
    class Fake:
        @staticmethod
        def get_config() -> Settings:
            return Settings(namespace="fake")

    with testing.override(ConfigService, Fake()):
        assert settings_in_force().namespace == "fake"


def test_a_method_put_in_the_place_of_get_config_says_what_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConfigService, "get_config", lambda: Settings(namespace="patched"))

    assert settings_in_force().namespace == "patched"


def test_the_model_and_what_is_in_force_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    singleton_service.stop()
    monkeypatch.setenv("TASKS_NAMESPACE", "shop")

    assert settings_in_force() is settings_in_force()
    assert ConfigService.get_config() == model_of(settings_in_force())
    singleton_service.stop()
