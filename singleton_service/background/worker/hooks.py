"""What an application is told of: workers that start and stop, attempts at tasks that begin, end and fail.

Each decorator gives back the function as it is. What is registered stays so while the process lives.
"""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from singleton_service.background.task_queue.codec import leased_task
from singleton_service.background.task_queue.records import TaskStatus
from singleton_service.background.task_queue.running_task import CurrentTask

from .job import Ending
from .registering import name_of, register
from .seat import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from singleton_service.background.task_queue.lease import Lease

    from .job import Job
    from .loop import HandlerLoop

    Calls = Sequence[tuple[Callable[[Any], object], CurrentTask | "TaskEnd"]]

logger = logging.getLogger("singleton_service.worker")

OnWorker = TypeVar("OnWorker", bound="Callable[[], object]")
OnTask = TypeVar("OnTask", bound="Callable[[CurrentTask], object]")
OnEnd = TypeVar("OnEnd", bound="Callable[[TaskEnd], object]")

# Lists, so that asking whether there is any costs a task nothing.
WORKER_START: list[Callable[[], object]] = []
WORKER_STOP: list[Callable[[], object]] = []
BEFORE_TASK: list[Callable[[CurrentTask], object]] = []
AFTER_TASK: list[Callable[[TaskEnd], object]] = []
TASK_FAILURE: list[Callable[[TaskEnd], object]] = []

_STATUS = {
    Ending.COMPLETE: TaskStatus.COMPLETED,
    Ending.RETRY: TaskStatus.RETRYING,
    Ending.BURY: TaskStatus.FAILED,
    Ending.RELEASE: TaskStatus.PENDING,
    Ending.HOLD: TaskStatus.PENDING,
}


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How an attempt at a task ended here. The queue is told next, and may refuse it: a lease may have been lost.

    Attributes:
        task: the task and its attempt.
        status: COMPLETED, RETRYING, FAILED (for good), CANCELLED, or PENDING, uncounted: held, since a circuit breaker
            refused it, or cut off by a stop of the workers, and it runs again.
        result: what the handler returned; None unless it completed.
        error: what the attempt failed with; None unless it failed.
        run_seconds: how long the handler took, its scopes included.
        retry_in_seconds: until the next attempt; None unless there is one.
    """

    task: CurrentTask
    status: TaskStatus
    result: Any
    error: BaseException | None
    run_seconds: float
    retry_in_seconds: float | None


def on_worker_start(hook: OnWorker) -> OnWorker:
    """Have *hook* called each time the workers of this process start, before they take a task.

    An async one runs on the workers' event loop; what is raised is logged, and the workers start. The same is true of
    all hooks: none changes what it is told of.

    Raises:
        TypeError: it can't be called without arguments.
    """
    register(WORKER_START, hook, takes=())
    return hook


def on_worker_stop(hook: OnWorker) -> OnWorker:
    """Have *hook* called each time the workers of this process have stopped: no task runs, resources are closed.

    But for what could not be stopped in time, of which a warning tells.

    Raises:
        TypeError: it can't be called without arguments.
    """
    register(WORKER_STOP, hook, takes=())
    return hook


def before_task(hook: OnTask) -> OnTask:
    """Have *hook* called with each task before its handler is, in the same thread, at each attempt.

    Whoever wants to prevent or fail an attempt writes a `task_scope`.

    Raises:
        TypeError: it can't be called with a `CurrentTask`.
    """
    register(BEFORE_TASK, hook, takes=("the task",))
    return hook


def after_task(hook: OnEnd) -> OnEnd:
    """Have *hook* called with the end of each attempt, before the queue is told.

    A handler that goes on after a stop, for it can't be interrupted, has none.

    Raises:
        TypeError: it can't be called with a `TaskEnd`.
    """
    register(AFTER_TASK, hook, takes=("the end",))
    return hook


def on_task_failure(hook: OnEnd) -> OnEnd:
    """Have *hook* called with the end of each attempt that failed, tried again or not; before those of `after_task`.

    Raises:
        TypeError: it can't be called with a `TaskEnd`.
    """
    register(TASK_FAILURE, hook, takes=("the end",))
    return hook


def tell_of_worker(hooks: Iterable[Callable[[], object]], loop: HandlerLoop, timeout_s: float | None = None) -> None:
    """Call hooks that are told nothing else; wait *timeout_s* for each async one. Ctrl-C gets through."""
    for hook in tuple(hooks):
        try:
            answer = hook()
            if inspect.isawaitable(answer):
                loop.run(answer, timeout_s=timeout_s)
        except Exception:
            logger.exception("hook %s failed; the workers go on", name_of(hook))


def of_begin(lease: Lease) -> Calls:
    """Return what to tell of a task whose handler is about to be called."""
    task = CurrentTask(leased_task(lease), lease.fence, lease)
    return [(hook, task) for hook in BEFORE_TASK]


def of_end(job: Job) -> Calls:
    """Return what to tell of an attempt whose ending is in the job."""
    lease = job.lease
    end = TaskEnd(
        CurrentTask(leased_task(lease), lease.fence, lease),
        _status(job),
        job.result,
        job.error,
        job.run_s,
        job.delay_ms / 1000 if job.ending is Ending.RETRY else None,
    )
    hooks = [*TASK_FAILURE, *AFTER_TASK] if job.error is not None else AFTER_TASK
    return [(hook, end) for hook in hooks]


def _status(job: Job) -> TaskStatus:
    if job.order is Order.CANCEL and job.ending is Ending.RELEASE:
        return TaskStatus.CANCELLED
    return TaskStatus.FAILED if job.ending is None else _STATUS[job.ending]


def tell(calls: Calls, lease: Lease, loop: HandlerLoop) -> None:
    """Call hooks of a task in this thread; async ones run on the loop meanwhile."""
    for hook, fact in calls:
        try:
            answer = hook(fact)
            if inspect.isawaitable(answer):
                loop.run(answer)
        except BaseException:
            # SystemExit and the like, too, as from a handler.
            logger.exception("hook %s failed; task %s goes on", name_of(hook), lease.id)


async def atell(calls: Calls, lease: Lease) -> None:
    """Call hooks of a task on the running loop."""
    for hook, fact in calls:
        try:
            answer = hook(fact)
            if inspect.isawaitable(answer):
                await answer
        except BaseException:
            logger.exception("hook %s failed; task %s goes on", name_of(hook), lease.id)
