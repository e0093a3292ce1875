"""The testing kit, on a server of the run's own and on one that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from singleton_service.background import _pytest_plugin
from singleton_service.background.task_queue import TaskQueueService

if TYPE_CHECKING:
    from collections.abc import Iterator

# As fixtures of this folder: the environment that these tests run in may be older than the entry point.
_task_queue_server = _pytest_plugin._task_queue_server
task_queue = _pytest_plugin.task_queue


@pytest.fixture(scope="session", params=["embedded", "redis"])
def task_queue_redis_url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "embedded" else str(request.getfixturevalue("redis_url"))


@pytest.fixture(autouse=True)
def no_handlers() -> Iterator[None]:
    """No handlers but those of the test."""
    handlers = dict(TaskQueueService._task_handlers)
    TaskQueueService._task_handlers.clear()
    yield
    TaskQueueService._task_handlers.clear()
    TaskQueueService._task_handlers.update(handlers)
