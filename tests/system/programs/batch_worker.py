"""A worker that does batches; its handlers leave a line in TEST_LOG for each task."""

from __future__ import annotations

import os
import time
from typing import Any

from services.task_queue import task
from services.worker import WorkerService


def note(word: str, payloads: list[dict[str, Any]]) -> None:
    with open(os.environ["TEST_LOG"], "a", encoding="utf-8") as log:  # noqa: PTH123 - one write for all of them
        log.write("".join(f"{word} {each['n']} {len(payloads)}\n" for each in payloads))


@task(batch=10, wait=0.3)
def slowly(payloads: list[dict[str, Any]]) -> list[int]:
    note("begin", payloads)
    time.sleep(0.3)
    note("end", payloads)
    return [each["n"] for each in payloads]


@task(batch=10, wait=0.3)
def crash(payloads: list[dict[str, Any]]) -> None:
    note("begin", payloads)
    if any(each["n"] == 0 for each in payloads):
        os._exit(1)


if __name__ == "__main__":
    WorkerService.run_forever(num_workers=2)
