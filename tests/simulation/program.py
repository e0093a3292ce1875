"""A simulated process: the package's own client, worker and loop, on lines of its own."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from singleton_service.background.task_queue import EnqueueError, QueueUnavailableError, Task, TaskQueueService
from singleton_service.background.task_queue.client import QueueClient
from singleton_service.background.task_queue.handlers import HandlerRegistry
from singleton_service.background.task_queue.heartbeat import Heartbeat
from singleton_service.background.worker.crew import Crew
from singleton_service.background.worker.loop import HandlerLoop
from singleton_service.background.worker.readiness import Readiness
from singleton_service.background.worker.stats import WorkerCounters

from .network import SimulatedEngine
from .stage import Process

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from singleton_service.background.task_queue import TaskRequest

    from .world import World

_AGAIN_AFTER_S = 0.1
_PATIENCE_S = 5.0
_RETRY_AFTER_S = 0.2
_CANCELLED = 0.1
_HAVE_CREWS = ("worker", "last")


class Program:
    """What a process of an application would be; its methods run in threads of the simulation."""

    def __init__(self, world: World, kind: str, name: str) -> None:
        self.kind = kind
        self.process = Process(name)
        self.has_left = False
        self._world = world
        self._crew: Crew | None = None
        # Its lines, and all it asks of an engine, are the simulation's.
        opened = QueueClient(SimulatedEngine(world.network), world.settings)  # type: ignore[arg-type]
        opened.worker_id = name
        self.handlers = HandlerRegistry()
        self.queue: type[TaskQueueService] = type(
            "TaskQueueService",
            (TaskQueueService,),
            {"_client": opened, "_heartbeat": Heartbeat(opened), "_task_handlers": self.handlers},
        )
        # As the container leaves it after a start.
        self.queue._initialized = True
        self.queue.register_handler("work", world.handle, retry_delay_seconds=_RETRY_AFTER_S)

    def spawn(self, run: Callable[[], object]) -> None:
        """Give it a thread."""
        self._world.stage.spawn(self.process, run, self.process.name)

    def work(self, threads: int) -> None:
        """Be a worker process."""
        client = self.queue._open_client()
        for name in self._world.queues:
            self._until_it_works(partial(client.register_queue, name, to_take=True))
        heartbeat, readiness = self.queue._open_heartbeat(), Readiness(HandlerLoop())
        crew = Crew(threads, self._world.order, client, heartbeat, self.handlers, WorkerCounters(), readiness)
        crew.start()
        self._crew = crew

    def loop(self) -> None:
        """Be a loop of one's own, as an application may write it."""
        while not self._world.is_over:
            with suppress(QueueUnavailableError):
                task = self.queue.get_next_task(timeout=1, queues=str(self._world.order))
                if task is not None:
                    self._do(task)
                continue
            self._world.sleep(_AGAIN_AFTER_S)

    def produce(self, calls: Sequence[Sequence[TaskRequest]], pause_s: float, chance: random.Random) -> None:
        """Enqueue; calls with ids of one's own are repeated until they are acknowledged."""
        for requests in calls:
            self._world.sleep(2 * pause_s * chance.random())
            numbers = [(request.payload or {})["n"] for request in requests]
            while True:
                try:
                    ids = self.queue.enqueue_many(requests)
                except (QueueUnavailableError, EnqueueError):
                    self._world.note(f"unknown {numbers}")
                    if requests[0].task_id is None:
                        break
                    self._world.sleep(_AGAIN_AFTER_S)
                else:
                    self._world.note(f"ack {numbers}")
                    self._world.acknowledged.update(zip(numbers, ids, strict=True))
                    if chance.random() < _CANCELLED:
                        with suppress(QueueUnavailableError):
                            self._world.note(f"cancel {numbers[0]}: {self.queue.cancel_task(ids[0])}")
                    break
        self._world.producing -= 1

    def leave(self) -> None:
        """End in peace; the container has whoever stops wait for what starts."""
        while self._crew is None and self.kind in _HAVE_CREWS:
            self._world.sleep(_AGAIN_AFTER_S)
        if self._crew is not None:
            self._crew.stop(_PATIENCE_S)
        self.queue._open_heartbeat().stop()
        self.queue._open_client().close()
        self.has_left = True

    def read_all(self) -> list[Task]:
        """Return every task there is."""
        found: dict[str, Task] = {}
        for name in self._world.queues:
            cursor = None
            while True:
                page = self.queue.list_tasks(queue=name, limit=1000, cursor=cursor)
                found.update((task.id, task) for task in page.tasks)
                cursor = page.cursor
                if cursor is None:
                    break
        return list(found.values())

    def _do(self, task: Task) -> None:
        try:
            result, error = self._world.handle(dict(task.payload)), ""
        except RuntimeError as raised:
            result, error = 0, str(raised)
        if error:
            self._until_it_works(lambda: self.queue.fail_task(task, error))
        else:
            self._until_it_works(lambda: self.queue.complete_task(task, result))

    def _until_it_works(self, call: Callable[[], object]) -> None:
        while True:
            with suppress(QueueUnavailableError):
                call()
                return
            self._world.sleep(_AGAIN_AFTER_S)
