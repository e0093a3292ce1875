"""What a worker does, done by whoever calls: fetch, run, report, one call of a handler at a time."""

from __future__ import annotations

import asyncio
import contextvars
import json
import math
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from singleton_service.background.task_queue import TaskQueueService, TaskStatus
from singleton_service.background.task_queue.codec import decode_task, leased_task
from singleton_service.background.task_queue.errors import TaskFailedError
from singleton_service.background.worker.batch import Batch
from singleton_service.background.worker.batch_execution import BatchExecution
from singleton_service.background.worker.job import Ending, Job
from singleton_service.background.worker.outbox import Outbox
from singleton_service.background.worker.readiness import Readiness
from singleton_service.background.worker.routing import Router
from singleton_service.background.worker.seat import Seat
from singleton_service.background.worker.stats import WorkerCounters
from singleton_service.background.worker.thread_resources import close_here, has_open
from singleton_service.background.worker.time_limits import TimeLimits

from .errors import TaskHeldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singleton_service.background.task_queue import Task
    from singleton_service.background.worker.loop import HandlerLoop

    from .failures import Failures


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a task.

    Attributes:
        task: the task as it stood after it: completed, retrying, failed, or held.
        error: what its handler raised; `TaskHeldError` when it could not be called; None when all went well.
    """

    task: Task
    error: BaseException | None


class _Here(threading.local):
    """How many drains of a thread are one within the other, and whether what is open in it was opened by them."""

    depth = 0
    opens = False


_here = _Here()


class Hands:
    """The hands of one drain. Not thread-safe; coroutines run on the loop that it is given."""

    def __init__(self, loop: HandlerLoop, failures: Failures) -> None:
        """Be ready to work; the task queue is started by it.

        Args:
            loop: where coroutines run.
            failures: hears what handlers raise.
        """
        TaskQueueService.server_url()
        self._client = TaskQueueService._open_client()
        self._leases = TaskQueueService._open_leases()
        self._loop = loop
        self._failures = failures
        settings = self._client.settings
        self._readiness = Readiness(loop)
        self._execution = BatchExecution(self._readiness, settings.retry_base_seconds, settings.retry_cap_seconds)
        self._router = Router(TaskQueueService._task_handlers)
        self._outbox = Outbox(self._client, self._leases, WorkerCounters())
        # A handler that can't be interrupted is waited for: there is no other thread that could go on.
        self._limits = TimeLimits(math.inf, lambda _seat, _job: None)
        self._waiting: deque[Job] = deque()

    def __enter__(self) -> Self:
        if _here.depth == 0:
            _here.opens = not has_open()
        _here.depth += 1
        return self

    def __exit__(self, *_exc: object) -> None:
        self._limits.stop()
        self._readiness._watch.stop()
        if self._waiting:
            for job in self._waiting:
                self._failures.take(job.lease)
            self._outbox.release(self._waiting)
            self._tell()
        _here.depth -= 1
        if _here.depth == 0 and _here.opens:
            close_here()

    def take(self) -> list[Job]:
        """Fetch what is to be done next: a task, or those that one call of a handler does; none when nothing is."""
        job = self._waiting.popleft() if self._waiting else self._fetch_first()
        if job is None:
            return []
        if job.ending is not None or job.handler.policy.batch is None:
            return [job]
        return [job, *self._others_like(job, job.handler.policy.batch - 1)]

    def run(self, jobs: Sequence[Job]) -> None:
        """Call the handler, here or on the loop, and write its end into the jobs."""
        job = self._as_one(jobs)
        if job.ending is not None:
            return
        if job.handler.kind == "async":
            self._loop.run(self._execution.run_async(job, self._new_seat()), job)
        else:
            self._call(job)

    async def run_async(self, jobs: Sequence[Job]) -> None:
        """Do the same in the running loop; a plain handler is called in a thread."""
        job = self._as_one(jobs)
        if job.ending is not None:
            return
        if job.handler.kind == "async":
            # A task of its own, with a context of its own: that is what an interruption cancels.
            await asyncio.create_task(self._execution.run_async(job, self._new_seat()))
        else:
            await asyncio.to_thread(self._call_elsewhere, job)

    def report(self, jobs: Sequence[Job]) -> list[Attempt]:
        """Tell the queue, and return the attempts with the tasks as they stand then."""
        self._outbox.report(jobs)
        self._tell()
        # Not in one pipeline: a script that the server does not know yet is sent again, after all the others.
        looks = [self._client.protocol(job.lease.queue).status([job.lease.uid]) for job in jobs]
        return [self._attempt(job, reply) for job, reply in zip(jobs, self._client.link.run(looks), strict=True)]

    def _fetch_first(self) -> Job | None:
        # As a worker takes them, and then all others.
        usual = TaskQueueService.DEFAULT_QUEUES
        for queue in [*usual, *(name for name in self._client.queues() if name not in usual)]:
            for job in self._fetch(queue, 1):
                return job
        return None

    def _fetch(self, queue: str, number: int) -> list[Job]:
        protocol = self._client.protocol(queue)
        with self._leases.fetching(queue):
            reply = self._client.link.run([protocol.fetch(number, number)])[0]
            leases = protocol.fetched(reply).leases
            self._leases.add(leases)
        self._failures.expect(leases)
        jobs = [Job(lease, is_marked=True) for lease in leases]
        for job in jobs:
            self._router.route(job)
        return jobs

    def _others_like(self, first: Job, number: int) -> list[Job]:
        candidates = [*self._waiting, *self._fetch(first.lease.queue, number)] if number else list(self._waiting)
        alike = [job for job in candidates if job.kind == first.kind][:number]
        self._waiting = deque(job for job in candidates if job not in alike)
        return alike

    @staticmethod
    def _as_one(jobs: Sequence[Job]) -> Job:
        first = jobs[0]
        if first.ending is not None or first.handler.policy.batch is None:
            return first
        return Batch(jobs, first.handler.kind)

    def _call(self, job: Job) -> None:
        # What a handler leaves in context variables ends with it.
        contextvars.copy_context().run(self._execution.run, job, self._new_seat())

    def _call_elsewhere(self, job: Job) -> None:
        try:
            self._call(job)
        finally:
            close_here()

    def _new_seat(self) -> Seat:
        seat = Seat(self._limits.expect)
        self._limits.add(seat)
        return seat

    def _tell(self) -> None:
        self._outbox.settle(self._client.link.run(self._outbox.commands()))

    def _attempt(self, job: Job, reply: list[bytes]) -> Attempt:
        lease = job.lease
        task = decode_task(lease.queue, lease.uid, reply)
        if task is None:
            # Nothing of it is kept: its result was to live for no time.
            task = replace(leased_task(lease), status=TaskStatus.COMPLETED, result=json.loads(job.report))
        error = self._failures.take(lease)
        if job.ending is Ending.HOLD:
            error = TaskHeldError(task.id, task.name, job.reason)
        elif job.ending in {Ending.RETRY, Ending.BURY}:
            error = error or TaskFailedError(task.id, task.error_message or "")
        return Attempt(task, error)
