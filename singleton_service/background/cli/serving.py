"""What a process does that takes tasks or fires schedules, until it is told to stop."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.supervisor import Supervised
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.order import queue_order
from singleton_service.background.worker import WorkerService
from singleton_service.background.worker.service import calls_of_signals

from .banner import Facts, facts, print_banner
from .loading import load_tasks
from .problems import CommandError, ExitCode, usage_errors

if TYPE_CHECKING:
    from singleton_service.background.worker.service import Hearing

logger = logging.getLogger("singleton_service.cli")

_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Work:
    """What one process is to do.

    Attributes:
        title: what it is called.
        modules: of the user, to import.
        threads: how many tasks of plain functions run at once; None: it takes no tasks.
        coroutines: how many of those run at once; None for what the setting says.
        task_processes: how many processes it has at most for tasks that want one of their own; None as well.
        queues: as `start_workers` takes them.
        fires: whether schedules fire.
        burst: whether it ends when there is nothing left to do.
    """

    title: str
    modules: tuple[str, ...] = ()
    threads: int | None = None
    coroutines: int | None = None
    task_processes: int | None = None
    queues: str | None = None
    fires: bool = False
    burst: bool = False

    def options(self) -> list[str]:
        """Return the same as arguments of a command line, but for what its verb says."""
        given = {
            "--threads": self.threads,
            "--async": self.coroutines,
            "--task-processes": self.task_processes,
            "--queues": self.queues,
        }
        options = [part for name, value in given.items() if value is not None for part in (name, str(value))]
        return [*self.modules, *options, *(["--burst"] if self.burst else [])]


def serve(work: Work, line: int | None) -> int:
    """Do it until told to stop, and return the exit status.

    Args:
        work: what to do.
        line: the descriptor that a supervisor has given; None where there is none, and this process shows the banner.

    Raises:
        CommandError: a module or an option can't be used, or there is nothing to do.
        QueueUnavailableError: a burst finds no server. Else it is waited for.
    """
    supervised = None if line is None else Supervised(line)
    found = prepare(work)
    if supervised is None:
        print_banner(found, fires=work.fires)
        return _serve(work, lambda on_call: calls_of_signals(on_call, None))
    return _serve(work, partial(supervised.hearing, shown=found.as_json()))


def prepare(work: Work) -> Facts:
    """Set what the options set, import the user's modules, and return what there is to show of all that.

    Raises:
        CommandError: something can't be used.
    """
    with usage_errors():
        order = queue_order(work.queues)
    for variable, value in {"TASKS_ASYNC_CONCURRENCY": work.coroutines, "TASKS_PROCESSES": work.task_processes}.items():
        if value is not None:
            os.environ[variable] = str(value)
    quiet = logging.getLogger("singleton_service.task_queue")
    quiet.setLevel(logging.WARNING)  # what was found is about to be shown
    try:
        load_tasks(work.modules)
    finally:
        quiet.setLevel(logging.NOTSET)
    handlers = [known for known in TaskQueueService._task_handlers.values() if known.origin == "application"]
    if work.threads is not None and not handlers:
        raise _no_tasks(work.modules)
    return facts(work.title, handlers, threads=work.threads, order=order)


def _serve(work: Work, hearing: Hearing) -> int:
    if work.threads is None:
        return _fire(hearing)
    if work.burst:
        return _burst(work.threads, work.queues, hearing)
    if work.fires:
        SchedulerService.start_scheduler()
    WorkerService._serve(work.threads, queue_order(work.queues), hearing, standalone=True)
    SchedulerService.stop_scheduler()
    return ExitCode.OK


def _fire(hearing: Hearing) -> int:
    calls: SimpleQueue[str] = SimpleQueue()
    with hearing(lambda why, _within_s: calls.put(why)):
        SchedulerService.start_scheduler()
        logger.info("Received %s, shutting down scheduler...", calls.get())
        SchedulerService.stop_scheduler()
    return ExitCode.OK


def _burst(threads: int, queues: str | None, hearing: Hearing) -> int:
    """Work until nothing is left to do; FAILED if an attempt failed, or if it was stopped before."""
    calls: list[float | None] = []

    def on_call(_why: str, within_s: float | None) -> None:
        calls.append(within_s)
        if len(calls) > 1 and WorkerService._crew is not None:
            WorkerService._crew.hurry(within_s)

    TaskQueueService.server_url()  # without a server it ends here, instead of waiting for one
    with hearing(on_call):
        WorkerService._start(threads, queue_order(queues), is_standalone=True)
        is_done = False
        while not calls and not is_done:
            is_done = WorkerService.wait_for_completion(timeout=_LOOK_S)
        WorkerService._stop(calls[0] if calls else None)
    counts = WorkerService.get_worker_stats()
    done, failed = counts["tasks_processed"], counts["tasks_failed"]
    logger.info("Tasks done: %d, attempts failed: %d%s", done, failed, "" if is_done else "; stopped before the end")
    return ExitCode.OK if is_done and not failed else ExitCode.FAILED


def _no_tasks(modules: tuple[str, ...]) -> CommandError:
    if modules:
        return CommandError(
            f"no tasks in {', '.join(modules)}",
            "a task is a function with @task, or a class derived from TaskHandler, both from services.task_queue",
            "Name the module that defines them; those that it does not import are not found.",
        )
    return CommandError(
        "no module named, so there is no task that this worker would know",
        fix="singleton-service worker app.tasks",
        code=ExitCode.USAGE,
    )
