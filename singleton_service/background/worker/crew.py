"""One generation of workers: a dispatcher, its executors and their loop, started and stopped together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from .batch_execution import BatchExecution
from .coroutine_pool import CoroutinePool
from .dispatcher import Dispatcher
from .hooks import WORKER_START, WORKER_STOP, tell_of_worker
from .metrics import processors
from .pool import ThreadPool
from .processes import ProcessPool
from .thread_resources import CLOSING_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.errors import QueueUnavailableError
    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.task_queue.heartbeat import Heartbeat
    from singleton_service.background.task_queue.order import QueueOrder

    from .executor import Executor
    from .readiness import Readiness
    from .stats import WorkerCounters

# Threads without a task end as soon as they are told; those at a task that was cut off may never.
_IDLE_THREADS_END_S = 1.0


class Crew:
    """Started once and stopped once: a restart is a new crew, so that stragglers of the old one stay what they are."""

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        size: int,
        order: QueueOrder,
        client: QueueClient,
        heartbeat: Heartbeat,
        handlers: Mapping[str, Handler],
        counters: WorkerCounters,
        readiness: Readiness,
    ) -> None:
        self.size = size
        self.order = order
        self.is_stopping = False
        self.gone = threading.Event()
        self.client = client
        settings = client.settings
        self.patience_s = settings.shutdown_seconds
        self._readiness = readiness
        readiness.loop.watch.blocked_s = settings.blocked_loop_seconds
        execution = BatchExecution(readiness, settings.retry_base_seconds, settings.retry_cap_seconds)
        self._dispatcher = Dispatcher(client, heartbeat, order, handlers, counters)
        done, ring, grace_s = self._dispatcher.done, self._dispatcher.ring, settings.interrupt_grace_seconds
        coroutines = settings.async_concurrency
        self._pool = ThreadPool(size, execution, done, ring, grace_s)
        self._executors: list[Executor] = [
            self._pool,
            CoroutinePool(coroutines, execution, readiness.loop, done, ring, grace_s),
            ProcessPool(settings.processes or processors(), execution, done, ring, settings),
        ]

    def start(self) -> None:
        """Start all threads."""
        tell_of_worker(WORKER_START, self._readiness.loop)
        try:
            for executor in self._executors:
                executor.start()
            self._dispatcher.start(self._executors, self._pool)
        except BaseException:
            # No more threads to be had: those that did start must not wait for ever.
            self._close()
            self._dispatcher.close()
            raise

    def stop(self, timeout_s: float) -> int:
        """Stop, as `WorkerService.stop_workers` describes, and return how many tasks were cut off."""
        self.is_stopping = True
        self._dispatcher.stop(timeout_s)
        self._dispatcher.join()
        self._close()
        ends_at = time.monotonic() + _IDLE_THREADS_END_S
        for executor in self._executors:
            executor.join(max(0.0, ends_at - time.monotonic()))
        tell_of_worker(WORKER_STOP, self._readiness.loop, CLOSING_S)
        self._readiness.close()
        return self._dispatcher.cut_off

    def hurry(self, within_s: float | None = 0.0) -> None:
        """Hand back what runs after *within_s*, None for its patience: a stop is under way and somebody asked again."""
        self._dispatcher.hurry(self.patience_s if within_s is None else within_s)

    @property
    def is_callers(self) -> bool:
        """Whether the caller is one of its handlers, who can't wait for its own end."""
        return any(executor.is_callers for executor in self._executors)

    @property
    def running(self) -> dict[str, int]:
        """How many handlers of each kind run now."""
        return self._dispatcher.running

    @property
    def busy(self) -> int:
        """How many handlers run now."""
        return sum(self.running.values())

    @property
    def is_serving(self) -> bool:
        """Whether it takes tasks and reports their ends."""
        return not self.is_stopping and self._dispatcher.is_alive

    @property
    def rounds(self) -> int:
        """How often its fetch loop went round."""
        return self._dispatcher.rounds

    def ring(self) -> None:
        """Have the fetch loop go round once more, if it sleeps."""
        self._dispatcher.ring()

    @property
    def last_block(self) -> str:
        """Who blocked the event loop last; "" when nobody was seen to."""
        return self._readiness.loop.watch.last_block

    @property
    def outage(self) -> QueueUnavailableError | None:
        """Why the server was found away last; None while it answers."""
        return self.client.outage.error

    def has_work(self) -> bool:
        """Ask the server whether something runs, here or elsewhere, or could start now in the queues of this crew.

        Raises:
            QueueUnavailableError: it is not there.
        """
        protocols = [self.client.protocol(queue) for queue in self.order.names]
        replies = self.client.read([protocol.stats() for protocol in protocols])
        counted = [protocol.counted(reply) for protocol, reply in zip(protocols, replies, strict=True)]
        return self.busy > 0 or any(map(_has_work, counted))

    def alive(self) -> list[str]:
        """Return the names of the worker threads that live."""
        return [name for executor in self._executors for name in executor.alive()]

    def _close(self) -> None:
        for executor in self._executors:
            executor.close()


def _has_work(counts: Mapping[str, int]) -> bool:
    waits = counts["ready"] + counts["suspects"] + counts["waiting"]
    return counts["running"] > 0 or (waits > 0 and not counts["paused"])
