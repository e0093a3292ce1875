from __future__ import annotations

import pytest

from singleton_service.background.config import mask_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://user:hunter2@localhost", "redis://user:***@localhost"),
        ("redis://:hunter2@localhost", "redis://:***@localhost"),
        ("redis://hunter2@localhost", "redis://***@localhost"),
        ("redis://:hun@ter2@localhost", "redis://:***@localhost"),
        ("redis://:hun/ter2?#@localhost", "redis://:***@localhost"),
        ("user:hunter2@localhost", "user:***@localhost"),
        ("redis://localhost?password=hunter2&db=1", "redis://localhost?password=***&db=1"),
        ("rediss://localhost?ssl_password=hunter2", "rediss://localhost?ssl_password=***"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("", ""),
    ],
)
def test_a_password_is_hidden_however_the_url_is_written(url: str, shown: str) -> None:
    assert mask_url(url) == shown
