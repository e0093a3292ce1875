"""The pytest plugin of the task queue: the fixture ``task_queue``.

Registered as the entry point ``singleton_service_tasks``. It imports nothing of the queue until a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .testing import TaskQueueBench
    from .testing.server import RunServer


@pytest.fixture(scope="session")
def task_queue_redis_url() -> str | None:
    """Return the URL of a server for tests; None, unless overridden in a conftest.py, starts one of the run's own."""
    return None


@pytest.fixture(scope="session")
def _task_queue_server(
    task_queue_redis_url: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunServer]:
    from .testing.server import RunServer  # noqa: PLC0415 - costs half a second, for those who use it

    server = RunServer(tmp_path_factory.getbasetemp() / "task-queue", task_queue_redis_url)
    yield server
    server.close()


@pytest.fixture
def task_queue(_task_queue_server: RunServer) -> Iterator[TaskQueueBench]:
    """Give this test a task queue of its own: `task_queue.drain()`, `.assert_enqueued(...)`, `.clock.move(days=3)`."""
    from .testing import TaskQueueBench  # noqa: PLC0415 - the same

    with TaskQueueBench(_task_queue_server) as bench:
        yield bench
