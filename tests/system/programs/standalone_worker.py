"""A worker process that is there for its workers alone; told so, one whose patience with a connection never ends."""

from __future__ import annotations

import logging
import sys
from typing import Any

from singleton_service.background.engine.engine import Engine
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import WorkerService, dispatcher


def begin(payload: dict[str, Any]) -> Any:
    return payload.get("n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if "--patient" in sys.argv:
        # As clients are that know neither read timeouts nor a pulse.
        Engine.may_fall_silent = False  # type: ignore[assignment, method-assign]
        dispatcher._READ_TIMEOUT_S = 600.0
    TaskQueueService.register_handler("begin", begin)
    print("cut off", WorkerService.run_forever(2, timeout=5, standalone=True), flush=True)
