"""One generation of workers: a dispatcher, its pool and its loop, started and stopped together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .dispatcher import Dispatcher
from .execution import Execution
from .hooks import WORKER_START, WORKER_STOP, tell_of_worker
from .pool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singleton_service.background.task_queue.client import QueueClient
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
        settings = client.settings
        self.patience_s = settings.shutdown_seconds
        self._readiness = readiness
        execution = Execution(handlers, readiness, settings.retry_base_seconds, settings.retry_cap_seconds)
        self._dispatcher = Dispatcher(client, heartbeat, order, counters)
        done, ring = self._dispatcher.done, self._dispatcher.ring
        self._pool: Executor = ThreadPool(size, execution, done, ring, settings.interrupt_grace_seconds)

    def start(self) -> None:
        """Start all threads."""
        tell_of_worker(WORKER_START, self._readiness.loop)
        try:
            self._pool.start()
            self._dispatcher.start(self._pool)
        except BaseException:
            # No more threads to be had: those that did start must not wait for ever.
            self._pool.close()
            self._dispatcher.close()
            raise

    def stop(self, timeout_s: float) -> int:
        """Stop, as `WorkerService.stop_workers` describes, and return how many tasks were cut off."""
        self.is_stopping = True
        self._dispatcher.stop(timeout_s)
        self._dispatcher.join()
        self._pool.close()
        self._pool.join(_IDLE_THREADS_END_S)
        tell_of_worker(WORKER_STOP, self._readiness.loop)
        self._readiness.close()
        return self._dispatcher.cut_off

    def hurry(self) -> None:
        """Hand back what runs, now: a stop is under way and somebody asked again."""
        self._dispatcher.hurry()

    @property
    def is_callers(self) -> bool:
        """Whether the caller is one of its handlers, who can't wait for its own end."""
        return self._pool.is_callers

    @property
    def busy(self) -> int:
        """How many handlers run now."""
        return self._dispatcher.busy

    @property
    def is_serving(self) -> bool:
        """Whether it takes tasks and reports their ends."""
        return not self.is_stopping and self._dispatcher.is_alive

    def alive(self) -> list[str]:
        """Return the names of the worker threads that live."""
        return self._pool.alive()
