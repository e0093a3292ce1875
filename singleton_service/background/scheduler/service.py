"""SchedulerService: its life. What it does is in making.py and showing.py, and in loop.py while it runs."""

from __future__ import annotations

import logging
import queue as queues
from typing import TYPE_CHECKING, ClassVar

from singleton_service import BaseService, requires
from singleton_service._signals import stopping_on_signals
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.availability import LateStart, guarded
from singleton_service.workers import Server

from .clock import ServerClock
from .declared import all_declared, check_declared, declare_all
from .loop import Loop
from .making import Making
from .showing import Showing
from .store import Store

if TYPE_CHECKING:
    from singleton_service.background.task_queue.handlers import Handler

    from .definition import Definition

logger = logging.getLogger("singleton_service.scheduler")

_END_S = 10.0


@requires(TaskQueueService)
class SchedulerService(Making, Showing, BaseService):
    """The schedules, and the scheduler of this process. Any thread may call any method, any number of times.

    Schedules live on the server. Any number of processes may run a scheduler, and none of them is special: each instant
    is enqueued once, because its task's id follows from schedule and instant, and none is skipped as long as one runs.
    """

    _server: ClassVar[Server | None] = None
    _late_start: ClassVar[LateStart] = LateStart("scheduler")
    _stop_asked: ClassVar[queues.SimpleQueue[int | None] | None] = None

    @classmethod
    def initialize(cls) -> None:
        """Get ready. Starts no thread, and asks the server nothing."""
        cls._end()
        cls._let_go()
        client = TaskQueueService._open_client()
        cls._clock = ServerClock()
        cls._store = Store(client, cls._clock)
        loop = Loop(client, cls._in_code)
        # What no `except` has foreseen ends a life of the loop's, not the scheduler: its server begins another one.
        server = Server("scheduler")
        server.add_worker(loop)
        cls._firing, cls._server, cls._jobs_scheduled = loop, server, 0

    @classmethod
    def shutdown(cls) -> None:
        """Stop the thread. Schedules stay."""
        cls.stop_scheduler()
        cls._let_go()
        cls._firing = cls._store = cls._clock = cls._server = None

    @classmethod
    def start_scheduler(cls) -> None:
        """Start firing, in a daemon thread "scheduler", and return. While it runs, calling it again changes nothing.

        Tasks that declare a schedule in their own definition are scheduled, too, under the id `handler.<name>`: those
        that this process knows by now, and those that it comes to know while the scheduler runs. Such a schedule is
        retired when no running code declares it any more.

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
        """Have all services started, and say what is declared: whoever lists schedules next finds it."""
        now_ms = cls._server_now_ms()
        cls._jobs_scheduled += declare_all(cls._open_store(), cls._in_code(), now_ms)

    @classmethod
    def _go(cls) -> None:
        # Not guarded: whoever stops the services meanwhile does not want them started again.
        if cls._server is not None:
            TaskQueueService._task_handlers.watch(cls._hear_of)
            cls._server.start()
            if cls._firing is not None:
                # What was registered after it was said.
                cls._firing.declare()

    @classmethod
    def _in_code(cls) -> dict[str, Definition]:
        # Not by ConfigService: the loop's thread starts no service that somebody is stopping.
        settings = TaskQueueService._open_client().settings
        return all_declared(settings, tuple(TaskQueueService._task_handlers.values()))

    @classmethod
    def _hear_of(cls, _handler: Handler) -> None:
        # Whoever stopped the services meanwhile wants no schedules.
        if cls._firing is not None:
            cls._firing.declare()

    @classmethod
    def stop_scheduler(cls) -> None:
        """Stop firing, at once; a fire that is just being enqueued is finished first. When stopped, do nothing.

        Schedules stay, and other processes fire them. When this one starts again, it makes up for what nobody fired, as
        each schedule says about instants that were missed.
        """
        cls._late_start.cancel()
        cls._end()
        if cls._stop_asked is not None:
            cls._stop_asked.put(None)

    @classmethod
    def _end(cls) -> None:
        TaskQueueService._task_handlers.unwatch(cls._hear_of)
        if cls._server is not None:
            cls._server.stop()
            if not cls._server.join_all(_END_S):
                logger.warning("The scheduler's thread did not stop within %g seconds", _END_S)

    @classmethod
    def _let_go(cls) -> None:
        # One that hangs amid a fire has it all with it to its end.
        if cls._firing is not None and not cls._firing.is_alive:
            cls._firing.close()

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
