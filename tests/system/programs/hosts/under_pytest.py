"""A test of an application's own that starts workers."""

import time

from services.worker import WorkerService
from tests.system.programs.hosts import hosted  # noqa: F401 - registers the handler


def test_something_that_takes_its_time() -> None:
    WorkerService.start_workers(2)
    time.sleep(60)
