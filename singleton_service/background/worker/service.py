"""WorkerService: threads that do tasks, in this process."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

from singleton_service import BaseService, requires
from singleton_service._signals import stopping_on_signals
from singleton_service.background.config import settings_in_force
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.availability import LateStart, guarded
from singleton_service.background.task_queue.checks import check_delay
from singleton_service.background.task_queue.errors import QueueUnavailableError
from singleton_service.background.task_queue.handlers import Handler
from singleton_service.background.task_queue.order import queue_order

from .crew import Crew
from .health_watch import HealthWatch
from .loop import HandlerLoop
from .metrics import Usage, performance
from .processes import check_tickets, is_importing_main
from .readiness import Readiness
from .roster import WorkerInfo, roster
from .samples import register_samples
from .stats import WorkerCounters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from singleton_service.background.task_queue.order import QueueOrder, Queues

    OnCall: TypeAlias = Callable[[str, float | None], object]
    Hearing: TypeAlias = Callable[[OnCall], AbstractContextManager[None]]

logger = logging.getLogger("singleton_service.worker")

MAX_WORKERS = 1000
_LOOK_EVERY_S = 0.05


@requires(TaskQueueService)
class WorkerService(BaseService):
    """The worker of this process. Any thread may call any method, any number of times."""

    _lock: ClassVar[threading.RLock] = threading.RLock()
    _counters: ClassVar[WorkerCounters] = WorkerCounters()
    _usage: ClassVar[Usage | None] = None
    _crew: ClassVar[Crew | None] = None
    _watch: ClassVar[HealthWatch | None] = None
    _stragglers: ClassVar[list[Crew]] = []
    _late_start: ClassVar[LateStart] = LateStart("workers")
    _stop_asked: ClassVar[SimpleQueue[tuple[str, float | None] | None] | None] = None

    @classmethod
    def initialize(cls) -> None:
        """Reset the counters. Starts no thread, installs no signal handler, registers no sample."""
        cls._counters = WorkerCounters()
        cls._usage = Usage()
        cls._crew = None
        cls._stragglers = []
        if "health_check" not in TaskQueueService._task_handlers:
            TaskQueueService._task_handlers.register(Handler("health_check", _health_check, origin="built-in"))

    @classmethod
    def shutdown(cls) -> None:
        """Stop the workers; what runs then has `TASKS_SHUTDOWN_SECONDS`."""
        cls._stop(None)

    @classmethod
    def start_workers(cls, num_workers: int = 4, *, queues: Queues | None = None) -> None:
        """Start worker threads and return. While they run, calling it again changes nothing.

        A stop under way is waited for, except by a handler, for whose end that stop waits. When the server is not
        there a warning says so, and the workers start as soon as it is.

        Args:
            num_workers: threads, 1 to 1,000: how many tasks of plain functions run at once in this process. Beside
                them coroutines run on its event loop, as many as the setting `TASKS_ASYNC_CONCURRENCY` says.
            queues: "critical,default,low" (the default) or a list of names takes strictly in this order;
                "critical:6,default:3,low:1", such a list or a dict of weights shares the workers by weight among the
                queues that have work.

        Raises:
            ValueError, TypeError: an argument can't be used, or a handler with `execution="process"` can't be imported.
            RuntimeError: called while a process for tasks imports the main module.
            HealthProbeError: the port or file where health shall be told can't be used.
        """
        cls._start(num_workers, _check(num_workers, queues), is_standalone=False)

    @classmethod
    def _start(cls, num_workers: int, order: QueueOrder, *, is_standalone: bool) -> None:
        if is_importing_main():
            raise RuntimeError(
                "start_workers() was called by the main module while a process for tasks imports it, as each does. Put "
                "what only the program itself shall do under: if __name__ == '__main__':"
            )
        check_tickets(TaskQueueService._task_handlers)
        crew = cls._crew
        if crew is not None and crew.is_stopping and not crew.is_callers:
            crew.gone.wait()
        watch = cls._keep_watch()
        watch.is_standalone = watch.is_standalone or is_standalone
        readiness = Readiness(HandlerLoop())
        try:
            cls._late_start.begin(
                cls, lambda: cls._make_ready(order.names, readiness), lambda: cls._go(num_workers, order, readiness)
            )
        except BaseException:
            if cls._crew is None:
                cls._end_watch(watch)
            raise

    @classmethod
    def _keep_watch(cls) -> HealthWatch:
        with cls._lock:
            watch = cls._watch
            if watch is not None and watch.is_stopping and cls._crew is None:
                watch.stop()
                watch = None
            if watch is None:
                watch = cls._watch = HealthWatch(settings_in_force())
            return watch

    @classmethod
    def _end_watch(cls, watch: HealthWatch) -> None:
        with cls._lock:
            if cls._watch is watch:
                cls._watch = None
        watch.stop()

    @classmethod
    def _make_ready(cls, queues: Sequence[str], readiness: Readiness) -> None:
        """Have all services started, those of the handlers included, and the queues known and readable."""
        TaskQueueService.server_url()  # before all: the server may be away
        if cls._crew is None:
            # Before this service starts, so that they are stopped after it: until then tasks run.
            settings = TaskQueueService._open_client().settings
            readiness.prepare(TaskQueueService._task_handlers, settings.service_check_seconds)
        cls._join_queues(queues)

    @classmethod
    @guarded
    def _join_queues(cls, queues: Sequence[str]) -> None:
        for queue in queues:
            TaskQueueService._open_client().register_queue(queue, to_take=True)

    @classmethod
    def _go(cls, num_workers: int, order: QueueOrder, readiness: Readiness) -> None:
        # Not guarded: whoever stops the services meanwhile does not want them started again.
        with cls._lock:
            if cls._crew is not None:
                running = cls._crew
                if (running.size, running.order) != (num_workers, order):
                    logger.warning(
                        "%d workers run already, for queues %s; stop them first to have %d for %s",
                        running.size,
                        running.order,
                        num_workers,
                        order,
                    )
                return
            client, heartbeat = TaskQueueService._open_client(), TaskQueueService._open_heartbeat()
            handlers = TaskQueueService._task_handlers
            if handlers.is_bare and client.settings.sample_handlers:
                register_samples(handlers)
            crew = Crew(num_workers, order, client, heartbeat, handlers, cls._counters, readiness)
            crew.start()
            cls._crew = crew
            if cls._watch is not None:
                cls._watch.follow(crew)
            _arrange_exit(os.getpid())
            cls._counters.add(workers_started=num_workers)
            logger.info("Started %d worker threads", num_workers)

    @classmethod
    def stop_workers(cls, timeout: float | None = None) -> int:
        """Stop taking tasks, let the running ones end, and return how many were cut off.

        What has not ended in time is interrupted as by a cancel, and its task handed back uncounted when its handler
        has ended, so that no two run side by side. A handler that can't be interrupted within a second goes on in its
        thread until it returns; its task is handed back all the same, and its late outcome is refused. Later calls
        return 0 at once; workers can be started again.

        A handler may call it, too: it gets 0 at once, and the stop waits for the handler's own end. A Ctrl-C amid it
        cuts off what runs at once, and is raised.

        Args:
            timeout: seconds that running tasks have to end; None: `TASKS_SHUTDOWN_SECONDS`, 30 unless set.

        Raises:
            ValueError, TypeError: the timeout can't be one.
        """
        timeout_s = _check_timeout(timeout)
        if cls._crew is not None and cls._crew.is_callers:
            threading.Thread(target=cls._stop, args=(timeout_s,), name="worker-stop", daemon=True).start()
            return 0
        return cls._stop(timeout_s)

    @classmethod
    def _stop(cls, timeout_s: float | None) -> int:
        watch = cls._watch
        if watch is not None:
            watch.begin_stop()
        cls._late_start.cancel()
        if cls._stop_asked is not None:
            cls._stop_asked.put(None)
        crew = cls._crew
        try:
            return 0 if crew is None else cls._end(crew, crew.patience_s if timeout_s is None else timeout_s)
        except KeyboardInterrupt:
            # Ctrl-C amid a stop: whoever wants to leave now shall, and nothing of it counts as a crash.
            assert crew is not None
            cls._end(crew, 0)
            raise
        finally:
            if watch is not None:
                cls._end_watch(watch)

    @classmethod
    def _end(cls, crew: Crew, timeout_s: float) -> int:
        cut_off = crew.stop(timeout_s)
        with cls._lock:
            if cls._crew is crew:
                cls._crew = None
                cls._counters.add(workers_stopped=crew.size)
                cls._stragglers = [old for old in [*cls._stragglers, crew] if old.alive()]
        crew.gone.set()
        for name in crew.alive():
            logger.warning("Worker %s did not stop gracefully", name)
        return cut_off

    @classmethod
    def run_forever(
        cls,
        num_workers: int = 4,
        *,
        queues: Queues | None = None,
        timeout: float | None = None,
        standalone: bool = False,
    ) -> int:
        """Start workers, unless they run, and serve until INT or TERM; return how many tasks were cut off.

        The first signal lets running tasks end, for *timeout* seconds; a second one cuts them off at once. Signal
        handlers are installed on the main thread only, and put back at the end.

        Args:
            num_workers: as for `start_workers`.
            queues: as for `start_workers`.
            timeout: as for `stop_workers`.
            standalone: whether this process is there for its workers alone, as `singleton-service worker` is. Then it
                ends itself, with status 70, once the fetch loop has stood still for twice `TASKS_STALL_SECONDS`, and
                tells systemd how it is. A process with other work, such as requests to answer, should not end for
                that; it tells its health all the same.

        Raises:
            ValueError, TypeError: an argument can't be used.
            HealthProbeError: as for `start_workers`.
            KeyboardInterrupt: a second signal came while services were still being started.
        """
        timeout_s = _check_timeout(timeout)
        order = _check(num_workers, queues)
        return cls._serve(
            num_workers, order, lambda on_call: calls_of_signals(on_call, timeout_s), standalone=standalone
        )

    @classmethod
    def _serve(cls, num_workers: int, order: QueueOrder, hearing: Hearing, *, standalone: bool) -> int:
        """Serve until called to stop: with why, and how many seconds there are for what runs.

        Later calls bring the end nearer. They come on the main thread, as signals do, or else on one that is not waited
        for here.
        """
        # An Event's lock may be held by the very thread that a signal interrupts; a SimpleQueue can bear that.
        asked: SimpleQueue[tuple[str, float | None] | None] = SimpleQueue()
        is_called, is_starting = False, True

        def on_call(why: str, within_s: float | None) -> None:
            nonlocal is_called
            asked.put((why, within_s))
            was_called, is_called = is_called, True
            if not was_called:
                return
            if cls._crew is not None:
                cls._crew.hurry(within_s)
            elif is_starting and within_s == 0:
                # A service that hangs as it starts: there is nothing to hand back, and no other way out.
                raise KeyboardInterrupt

        cls._stop_asked = asked
        with hearing(on_call):
            try:
                cls._start(num_workers, order, is_standalone=standalone)
                is_starting = False
                call = asked.get()
            finally:
                cls._stop_asked = None
            within_s = None
            if call is not None:
                why, within_s = call
                logger.info("Received %s, shutting down workers...", why)
            return cls._stop(within_s)

    @classmethod
    def wait_for_completion(cls, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do in the queues that the workers of this process take from; whether it is so.

        Nothing that could start now waits there, and nothing runs, here or in other processes. Delayed, retrying and
        held tasks are not waited for, nor is what lies in a paused queue. Without workers here there is nothing to
        wait for: True. When they are stopped meanwhile: False, at once. A handler that calls it waits for its own end.

        Args:
            timeout: seconds; None: as long as it takes.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        ends_at = None if timeout is None else time.monotonic() + check_delay("timeout", timeout)
        crew = cls._crew
        if crew is None:
            return True
        while not crew.gone.is_set():
            try:
                if not crew.has_work():
                    return True
            except QueueUnavailableError:
                if not crew.gone.is_set():
                    raise
            left_s = _LOOK_EVERY_S if ends_at is None else min(_LOOK_EVERY_S, ends_at - time.monotonic())
            if left_s <= 0:
                return False
            crew.gone.wait(left_s)
        return False

    @classmethod
    def run_until_empty(
        cls, num_workers: int = 4, *, queues: Queues | None = None, timeout: float | None = None
    ) -> int:
        """Start workers, unless they run, until nothing is left to do as `wait_for_completion` says; then stop them.

        For scripts, cron jobs and tests. Returns how many tasks were cut off by the stop, which waits as `stop_workers`
        does: none, unless another process enqueued meanwhile.

        Raises:
            ValueError, TypeError: an argument can't be used.
            QueueUnavailableError: the server is not there.
        """
        timeout_s = _check_timeout(timeout)
        TaskQueueService.server_url()  # without a server it ends here, instead of waiting for one
        cls.start_workers(num_workers, queues=queues)
        try:
            cls.wait_for_completion()
        finally:
            cut_off = cls._stop(timeout_s)
        return cut_off

    @classmethod
    def health_check(cls) -> bool:
        """Whether the workers of this process do their work: they take tasks, their loop moves, the server answers."""
        crew, watch = cls._crew, cls._watch
        is_moving = watch is None or watch.health().is_live
        return crew is not None and crew.is_serving and is_moving and TaskQueueService.ping()

    @classmethod
    @guarded
    def list_workers(cls) -> list[WorkerInfo]:
        """List the processes that take tasks, on every host, this one included if it does; sorted by host and pid.

        Those in a loop with `TaskQueueService.get_next_task()` are among them. One that was killed is gone from the
        list when its lease has ended; one whose workers were stopped, when its services are.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        return roster(TaskQueueService._open_client())

    @classmethod
    @guarded
    def get_performance_metrics(cls) -> dict[str, Any]:
        """Say what this process costs and gets done. JSON-able.

        `cpu_percent` of one processor since the last call (since the service started, at the first), and
        `memory_usage_mb` (10^6 bytes) are the whole process's, without those it has for tasks; `active_workers` and
        `busy_workers` as in `get_worker_stats`; `throughput` attempts ended per second and `error_rate` the part of
        them that failed (None when there was none), since the service started, `uptime_seconds` ago.
        """
        with cls._lock:
            assert cls._usage is not None, "initialize() made it"
            return performance(cls._usage, cls.get_worker_stats())

    @classmethod
    def get_worker_stats(cls) -> dict[str, Any]:
        """Count what this process did since the service started.

        `tasks_processed` completed here; `tasks_failed` attempts failed here, those that are tried again included;
        `processing_errors` stumbles of the worker itself. `active_workers` threads alive (those still at a task after
        a stop included), `total_workers` as asked for, `busy_workers` handlers that run now, coroutines included, and
        `running_tasks` how many of each kind.
        """
        crew = cls._crew
        crews = [*cls._stragglers, crew] if crew else cls._stragglers
        return {
            **cls._counters.read(),
            "active_workers": sum(len(each.alive()) for each in crews),
            "busy_workers": crew.busy if crew else 0,
            "running_tasks": dict(crew.running) if crew else {},
            "total_workers": crew.size if crew else 0,
            "is_running": crew is not None,
        }


def _forget_the_parents() -> None:
    """In a forked child: the parent's workers are not here, and their locks may be held for ever."""
    WorkerService._lock = threading.RLock()
    WorkerService._late_start = LateStart("workers")
    WorkerService._counters = WorkerCounters()
    WorkerService._crew = WorkerService._watch = WorkerService._stop_asked = None
    WorkerService._stragglers = []


os.register_at_fork(after_in_child=_forget_the_parents)


def _arrange_exit(pid: int) -> None:
    """Have the end of this process wait for running tasks; a child that forks off arranges its own."""
    # Anew each time: what is registered last comes first, and threads must not be told to end before tasks have.
    atexit.unregister(_stop_at_exit)
    atexit.register(_stop_at_exit, pid)


def _stop_at_exit(pid: int) -> None:
    # Before the container's own last resort, which runs hooks in threads, where no Ctrl-C arrives.
    crew = WorkerService._crew
    if crew is None or os.getpid() != pid:
        return
    try:
        if crew.busy:
            logger.warning(
                "waiting up to %g s for %d running tasks to end; Ctrl-C hands them back now", crew.patience_s, crew.busy
            )
        WorkerService._stop(None)
    except KeyboardInterrupt:
        WorkerService._stop(0)


@contextmanager
def calls_of_signals(on_call: OnCall, timeout_s: float | None) -> Iterator[None]:
    """Let the first signal end it in peace, and a second one at once."""
    numbers: list[int] = []

    def on_signal(number: int) -> None:
        numbers.append(number)
        on_call(f"signal {number}", timeout_s if len(numbers) == 1 else 0.0)

    with stopping_on_signals(on_signal):
        yield


def _check_timeout(timeout: float | None) -> float | None:
    return None if timeout is None else check_delay("timeout", timeout)


def _check(num_workers: object, queues: Queues | None) -> QueueOrder:
    if isinstance(num_workers, bool) or not isinstance(num_workers, int):
        raise TypeError(f"num_workers {num_workers!r} is no integer: pass how many threads shall run, such as 4")
    if not 1 <= num_workers <= MAX_WORKERS:
        raise ValueError(f"num_workers {num_workers} is out of range: 1 to {MAX_WORKERS} threads")
    return queue_order(queues)


def _health_check(payload: dict[str, Any]) -> dict[str, Any]:
    """Show that a task goes all the way: the scheduler's default job."""
    return {"status": "healthy", "scheduled_at": payload.get("timestamp"), "checked_at": time.time()}
