"""Who does a task: its handler here, or nobody, and then it is held for those who can."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from singleton_service.background.task_queue import wall_clock
from singleton_service.background.task_queue.codec import NEWER_VERSION, encode_error, is_readable, name_in

from .job import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singleton_service.background.task_queue.handlers import Handler

    from .job import Job

logger = logging.getLogger("singleton_service.worker")


class Router:
    """Finds the handlers of jobs among those of this process. Used by the dispatcher's thread alone."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._unknown: set[str] = set()

    def route(self, job: Job) -> str | None:
        """Give the job its handler, and return its lane. None: there is none here; the job has ended, to be held."""
        body = job.lease.body
        if not is_readable(body):
            # For as long as it takes: whoever wrote it has a worker that can read it, or will have.
            job.ending, job.reason = Ending.HOLD, NEWER_VERSION
            return None
        try:
            job.name = name_in(body)
        except ValueError as error:
            # Not written by us, and it will be no better next time.
            logger.error("task %s can't be read: %s", job.lease.id, error)  # noqa: TRY400 - whose fault it is, is not here
            job.ending = Ending.BURY
            job.report = encode_error(wall_clock.now(), "UnreadableTask", f"The task can't be read: {error}", None)
            return None
        handler = self._handlers.get(job.name)
        if handler is None:
            self._hold(job)
            return None
        job.handler, job.kind = handler, handler.lane
        return handler.lane

    def _hold(self, job: Job) -> None:
        job.ending, job.reason = Ending.HOLD, f"No handler registered for task: {job.name}"
        job.report = encode_error(wall_clock.now(), "NoHandler", job.reason, None)
        if job.name not in self._unknown:
            # Once per name: the commonest reason is a module that was not imported.
            self._unknown.add(job.name)
            logger.warning(
                "task %s is held: this worker has no handler for %r. Import the module that defines it before the "
                "workers start; other workers that know it may take the task",
                job.lease.id,
                job.name,
            )
