"""The server of a test run: what it says when there can be none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background.engine import EngineError
from singleton_service.background.testing.server import RunServer

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_that_can_not_be_started_leads_to_the_fixture_that_names_another(tmp_path: Path) -> None:
    taken = tmp_path / "task-queue"
    taken.write_text("a file")
    with pytest.raises(EngineError) as caught:
        RunServer(taken, None)
    assert "task_queue_redis_url" in caught.value.__notes__[0]


def test_an_address_that_can_not_be_one_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="redis://localhost:6379/0"):
        RunServer(tmp_path / "task-queue", "http://localhost")
    assert not (tmp_path / "task-queue").exists()
