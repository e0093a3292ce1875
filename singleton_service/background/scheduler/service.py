"""SchedulerService: tasks enqueued at their instants."""

from __future__ import annotations

import logging
import queue as queues
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from singleton_service import BaseService, requires
from singleton_service._signals import stopping_on_signals
from singleton_service.background.config import ConfigService
from singleton_service.background.expressions import parse
from singleton_service.background.task_queue import QueueUnavailableError, TaskQueueService
from singleton_service.background.task_queue.availability import LateStart, guarded
from singleton_service.background.task_queue.checks import check_name, encode_payload
from singleton_service.background.task_queue.ids import check_queue
from singleton_service.background.task_queue.requests import DEFAULT_QUEUE
from singleton_service.workers import Server

from .declared import check_declared, declared_id, declared_schedule
from .definition import Definition, check_schedule_id, sorted_json
from .jobs import Jobs
from .loop import Loop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singleton_service.background.expressions import Recurrence
    from singleton_service.background.task_queue.handlers import Handler

    from .timetable import Entry

logger = logging.getLogger("singleton_service.scheduler")

_END_S = 10.0


@requires(TaskQueueService)
class SchedulerService(BaseService):
    """The scheduler of this process. Any thread may call any method, any number of times.

    Schedules belong to the process that made them, for as long as the service is started. Any number of processes may
    have the same ones: each instant is enqueued once, because its task's id follows from schedule and instant.
    """

    # Not `_loop`: that is the container's word for an event loop.
    _firing: ClassVar[Loop | None] = None
    _jobs: ClassVar[Jobs | None] = None
    _server: ClassVar[Server | None] = None
    _jobs_scheduled: ClassVar[int] = 0
    _late_start: ClassVar[LateStart] = LateStart("scheduler")
    _stop_asked: ClassVar[queues.SimpleQueue[int | None] | None] = None

    # Life

    @classmethod
    def initialize(cls) -> None:
        """Begin with the default jobs alone. Starts no thread."""
        cls._end()
        settings = ConfigService.get_config()
        loop = Loop()
        jobs = Jobs(loop.timetable)
        if settings.scheduler_cleanup:
            loop.timetable.add(jobs.cleanup())
        if settings.scheduler_health_check:
            loop.timetable.add(jobs.health_check())
        # What no `except` has foreseen ends a life of the loop's, not the scheduler: its server begins another one.
        server = Server("scheduler")
        server.add_worker(loop)
        cls._firing, cls._jobs, cls._server, cls._jobs_scheduled = loop, jobs, server, 0

    @classmethod
    def shutdown(cls) -> None:
        """Stop the thread and forget the schedules."""
        cls.stop_scheduler()
        cls._firing = cls._jobs = cls._server = None

    @classmethod
    def start_scheduler(cls) -> None:
        """Start firing, in a daemon thread "scheduler", and return. While it runs, calling it again changes nothing.

        Tasks that declare a schedule in their own definition are scheduled, too, under the id `handler.<name>`: those
        that this process knows by now, and those that it comes to know while the scheduler runs.

        When the server is not there a warning says so, and the scheduler starts as soon as it is. Should its thread
        die, it is started again, ever later while it keeps dying; the log says so.

        Raises:
            WorkerEndingError: the last stop has not come to its end: a server hangs amid a fire.
            ValueError, TypeError: a task that declares a schedule can't be called without arguments.
        """
        for handler in tuple(TaskQueueService._task_handlers.values()):
            check_declared(handler)
        cls._late_start.begin(cls, cls._make_ready, cls._go)

    @classmethod
    @guarded
    def _make_ready(cls) -> None:
        """Have all services started."""

    @classmethod
    def _go(cls) -> None:
        # Not guarded: whoever stops the services meanwhile does not want them started again.
        if cls._server is not None:
            handlers = TaskQueueService._task_handlers
            handlers.watch(cls._schedule_declared)
            for handler in tuple(handlers.values()):
                cls._schedule_declared(handler)
            cls._server.start()

    @classmethod
    def stop_scheduler(cls) -> None:
        """Stop firing, at once; a fire that is just being enqueued is finished first. When stopped, do nothing.

        Schedules stay: started again, each fires its latest instant, if it missed one, and goes on from there.
        """
        cls._late_start.cancel()
        cls._end()
        if cls._stop_asked is not None:
            cls._stop_asked.put(None)

    @classmethod
    def _end(cls) -> None:
        TaskQueueService._task_handlers.unwatch(cls._schedule_declared)
        if cls._server is not None:
            cls._server.stop()
            if not cls._server.join_all(_END_S):
                logger.warning("The scheduler's thread did not stop within %g seconds", _END_S)

    @classmethod
    def run_forever(cls) -> None:
        """Start firing, unless it runs, until INT or TERM comes or another thread calls `stop_scheduler`.

        Signal handlers are installed on the main thread only, and put back at the end.
        """
        # An Event's lock may be held by the very thread that a signal interrupts; a SimpleQueue can bear that.
        asked: queues.SimpleQueue[int | None] = queues.SimpleQueue()
        cls._stop_asked = asked
        with stopping_on_signals(asked.put):
            cls.start_scheduler()
            number = asked.get()
            if number is not None:
                logger.info("Received signal %d, shutting down scheduler...", number)
            cls.stop_scheduler()
            cls._stop_asked = None

    # Schedules

    @classmethod
    def schedule_task(
        cls,
        name: str,
        payload: Mapping[str, Any] | None,
        expression: str | timedelta,
        *,
        id: str | None = None,  # noqa: A002 - what users call it
        queue: str | None = None,
    ) -> str:
        """Enqueue a task again and again, and return the schedule's id.

        The instants are the same in every process: multiples of the interval since 1970 UTC ("every 15 minutes": at
        :00, :15, :30 and :45). The task carries `schedule_id` and `scheduled_for`. The same call again changes
        nothing; another one with the same id takes its place.

        Args:
            name: of the handler that shall do it.
            payload: as for `enqueue_task`; a copy is kept.
            expression: "hourly", "daily" (00:00 UTC), "daily at HH:MM" (UTC), "every 30 seconds", "every 5 minutes",
                "every 2 hours", "every monday and friday at 09:00", "every 2 weeks on friday", the five fields of cron
                ("0 2 * * *", UTC) or a nickname ("@monthly"), or a timedelta of whole seconds.
            id: made of name, payload, expression and queue unless given: `<name>-<8 hex digits>`.
            queue: unless given, the task's own if this process knows it by now, else "default". All processes that
                have the schedule must mean the same one.

        Raises:
            ValueError, TypeError: an argument can't be used; nothing was scheduled.
            QueueUnavailableError: the service was not started yet and the server is not there.
        """
        recurrence = parse(expression)
        check_name(name)
        if id is not None:
            check_schedule_id(id)
        handler = TaskQueueService._task_handlers.get(name)
        if handler is not None and handler.form is not None:
            # Checked, and kept as it was given: where nobody knows the handler, the schedule must be the same.
            handler.form.dump(payload)
        if queue is None:
            queue = (handler and handler.policy.queue) or DEFAULT_QUEUE
        check_queue(queue)
        return cls._schedule(name, payload, recurrence, id, queue)

    @classmethod
    @guarded
    def _schedule(
        cls, name: str, payload: Mapping[str, Any] | None, recurrence: Recurrence, given_id: str | None, queue: str
    ) -> str:
        payload_json = encode_payload(payload, ConfigService.get_config().max_payload_bytes)
        definition = Definition(name, sorted_json(payload_json), recurrence, queue)
        schedule_id = definition.default_id if given_id is None else given_id
        cls._put(schedule_id, definition)
        return schedule_id

    @classmethod
    def _schedule_declared(cls, handler: Handler) -> None:
        if cls._firing is None:
            return  # whoever stopped the services meanwhile wants no schedules
        definition = declared_schedule(handler)
        if definition is not None:
            cls._put(declared_id(handler), definition)
        else:
            cls._firing.timetable.remove(declared_id(handler))

    @classmethod
    def _put(cls, schedule_id: str, definition: Definition) -> None:
        loop, jobs = cls._open()
        with loop.timetable.changed:
            present = loop.timetable.find(schedule_id)
            if present is None or present.definition != definition:
                loop.timetable.add(jobs.of_task(schedule_id, definition))
                cls._jobs_scheduled += 1

    @classmethod
    @guarded
    def unschedule(cls, id: str) -> bool:  # noqa: A002 - what users call it
        """End a schedule in this process; False when there is none by that id. What it enqueued stays enqueued.

        Raises:
            QueueUnavailableError: the service was not started yet and the server is not there.
        """
        return cls._open()[0].timetable.remove(id)

    # Look

    @classmethod
    @guarded
    def get_scheduled_jobs(cls) -> list[dict[str, Any]]:
        """List this process's schedules, those it has by default included, in the order in which they fire next.

        Each is a dict of `id`, `name` (of the task), `queue`, `expression`, `interval` (a number as text), `unit`
        ("seconds", "minutes", "hours" or "days"; both None for cron's fields), `next_run`, `last_run` (ISO 8601 in UTC;
        None when it has not fired here) and `last_task_id`.

        Raises:
            QueueUnavailableError: the service was not started yet and the server is not there.
        """
        timetable = cls._open()[0].timetable
        with timetable.changed:
            return [_described(entry) for entry in sorted(timetable.jobs, key=lambda entry: entry.instant_ms)]

    @classmethod
    @guarded
    def get_scheduler_stats(cls) -> dict[str, Any]:
        """Count what this process did since the service started.

        `jobs_scheduled` by `schedule_task` and by tasks' own definitions, new or changed; `jobs_executed` instants seen
        to, those included that another process had enqueued first; `scheduler_errors` fires that failed (they are tried
        again); `is_running`; `total_jobs` schedules now, the default ones included; `pending_jobs` of them due and not
        yet fired.

        Raises:
            QueueUnavailableError: the service was not started yet and the server is not there.
        """
        loop, jobs = cls._open()
        return {
            "jobs_scheduled": cls._jobs_scheduled,
            "jobs_executed": jobs.executed,
            "scheduler_errors": loop.errors,
            "is_running": loop.is_running,
            "total_jobs": len(loop.timetable.jobs),
            "pending_jobs": loop.timetable.count_due(),
        }

    @classmethod
    def _open(cls) -> tuple[Loop, Jobs]:
        if cls._firing is None or cls._jobs is None:
            raise QueueUnavailableError("of this process", "SchedulerService was stopped meanwhile")
        return cls._firing, cls._jobs


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "queue": entry.queue,
        "expression": entry.recurrence.text,
        "next_run": _iso(entry.instant_ms),
        "interval": None if entry.recurrence.count is None else str(entry.recurrence.count),
        "unit": entry.recurrence.unit,
        "last_run": None if entry.last_run_ms is None else _iso(entry.last_run_ms),
        "last_task_id": entry.last_task_id,
    }


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
