"""A process that enqueues, and writes down what it tried, what was acknowledged, and what it does not know."""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import dataclass
from typing import Any

from singleton_service.background.task_queue import (
    EnqueueError,
    QueueUnavailableError,
    TaskQueueService,
    TaskRequest,
)

from .journal import Journal

_REPEAT_AFTER_S = 0.05


@dataclass(frozen=True, slots=True)
class Order:
    """What to enqueue. Tasks are numbered from *first* on; the number is in the payload.

    Attributes:
        per_second: the pace, 0 for as fast as it goes; after an outage it catches up.
        name: of the task.
        least_ms: each task takes this and up to *longest_ms* more.
        own_ids: the share of calls with ids of the caller's; those are repeated until they are acknowledged.
        delayed: the share of calls with a delay of *delay_s*.
        fewest: tasks in one call, at least; if that is 1, every second call has one alone.
        most: tasks in one call, at most.
        cancelled: the share of calls whose tasks are cancelled up to *cancel_after_ms* later.
        wait_s: after each call wait so long for the results, then up to *pause_ms*.
        padding: bytes added to each payload.
        tenants: so many limit keys take turns, 0 for none.
        give_up_after_s: how long a call with ids of its own is repeated.
    """

    journal: str
    first: int
    count: int
    per_second: float = 0
    name: str = "work"
    least_ms: float = 0
    longest_ms: float = 0
    own_ids: float = 0.3
    delayed: float = 0.0
    delay_s: float = 1.0
    fewest: int = 1
    most: int = 10
    cancelled: float = 0
    cancel_after_ms: float = 0
    wait_s: float = 0
    pause_ms: float = 0
    padding: int = 0
    tenants: int = 0
    seed: int = 1
    give_up_after_s: float = 60


class Producer:
    """Carries out an order, one call after the other."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._random = random.Random(order.seed * 1_000_003 + order.first)
        self._journal = Journal(order.journal, sync=True)

    def run(self) -> None:
        """Enqueue everything."""
        order = self._order
        began, sent = time.monotonic(), 0
        while sent < order.count:
            if order.per_second:
                time.sleep(max(0.0, began + sent / order.per_second - time.monotonic()))
            number = min(self._size_of_call(), order.count - sent)
            ids = self._call([order.first + sent + n for n in range(number)])
            sent += number
            if ids and self._random.random() < order.cancelled:
                self._cancel(ids)
            if order.wait_s:
                self._wait(ids)
        self._journal.write("done")

    def _size_of_call(self) -> int:
        order = self._order
        if order.fewest == 1 and self._random.random() < 0.5:
            return 1
        return self._random.randint(order.fewest, order.most)

    def _cancel(self, ids: list[str]) -> None:
        time.sleep(self._random.random() * self._order.cancel_after_ms / 1000)
        for task_id in ids:
            self._journal.write("cancelled", task_id, TaskQueueService.cancel_task(task_id))

    def _wait(self, ids: list[str]) -> None:
        for task_id in ids:
            try:
                TaskQueueService.get_result(task_id, timeout=self._order.wait_s)
            except TimeoutError:
                self._journal.write("stuck", task_id)
        time.sleep(self._random.random() * self._order.pause_ms / 1000)

    def _call(self, numbers: list[int]) -> list[str]:
        order = self._order
        has_own_ids = self._random.random() < order.own_ids
        delay_s = order.delay_s if self._random.random() < order.delayed else 0
        requests = [self._request(n, delay_s, has_own_ids=has_own_ids) for n in numbers]
        self._journal.write("attempt", numbers, delay_s)
        ends_at = time.monotonic() + order.give_up_after_s
        while True:
            try:
                ids = _enqueue(requests)
            except (QueueUnavailableError, EnqueueError) as error:
                self._journal.write("unknown", numbers, str(error))
                if not has_own_ids or time.monotonic() > ends_at:
                    return []
                time.sleep(_REPEAT_AFTER_S)
            else:
                self._journal.write("ack", numbers, ids)
                return ids

    def _request(self, number: int, delay_s: float, *, has_own_ids: bool) -> TaskRequest:
        order = self._order
        takes_ms = round(order.least_ms + self._random.random() * order.longest_ms, 2)
        payload: dict[str, Any] = {"n": number, "ms": takes_ms}
        if order.padding:
            payload["padding"] = "x" * order.padding
        return TaskRequest(
            order.name,
            payload,
            delay_s,
            limit_key=f"tenant-{number % order.tenants}" if order.tenants else None,
            task_id=f"own-{number}" if has_own_ids else None,
        )


def _enqueue(requests: list[TaskRequest]) -> list[str]:
    if len(requests) > 1:
        return TaskQueueService.enqueue_many(requests)
    (one,) = requests
    key, task_id = one.limit_key, one.task_id
    return [TaskQueueService.enqueue_task(one.name, one.payload, one.delay_seconds, limit_key=key, task_id=task_id)]


if __name__ == "__main__":
    Producer(Order(**json.loads(sys.argv[1]))).run()
