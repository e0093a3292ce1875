"""What can go wrong with tasks, besides bad arguments (ValueError, TypeError).

TaskQueueError
├── QueueUnavailableError    the server does not answer, or refuses to write
├── NotAcceptingError        this process was told to take in no more tasks
├── QueueFullError           the queue holds as many unstarted tasks as it may
├── EnqueueError             some tasks of a batch went in, then the server went away or the queue was full
├── DurabilityError          tasks went in, but too few confirmed that they are safe
├── DurabilityUnavailableError  the server can't give the durability asked for; nothing was written
├── ProtocolVersionError     the server holds tasks of a newer version of this package
├── TaskFailedError          get_result() of a task that failed for good
├── TaskCancelledError       get_result() of a task that was cancelled
├── TaskExpiredError         get_result() of a task whose time was over before it started
├── TaskNotFoundError        get_result() of a task nobody knows (any more)
├── DiscoveryError           some modules could not be imported by discover()
├── TaskTimeoutError         an attempt that ran longer than its time limit failed with it
├── ProcessDiedError         the process that ran a handler died under it
├── PermanentError           raised by a handler: don't try again (outcomes.py)
└── Retry                    raised by a handler: try again, after so long (outcomes.py)

TaskInterrupted is none of them, and no Exception: it is thrown into handlers.
"""

from __future__ import annotations

from signal import Signals
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class TaskQueueError(Exception):
    """Base of all errors of the task queue."""


class QueueUnavailableError(TaskQueueError):
    """The server does not answer, or answers that it can't take anything. What it had acknowledged is not lost.

    Attributes:
        url: the server's address, without secrets.
        reason: what it or the operating system said.
        advice: what to try.
    """

    def __init__(self, url: str, reason: str, advice: str = "Check that it runs and that REDIS_URL names it.") -> None:
        super().__init__(url, reason, advice)
        self.url = url
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"the task queue's server {self.url} is not available: {self.reason}. {self.advice}"


class NotAcceptingError(TaskQueueError):
    """`stop_accepting_tasks` was called in this process."""

    def __str__(self) -> str:
        return (
            "this process takes in no new tasks since stop_accepting_tasks() was called: nothing was enqueued. "
            "Enqueue from another process, or call TaskQueueService.resume_accepting_tasks() first."
        )


class QueueFullError(TaskQueueError):
    """The queue holds as many unstarted tasks as TASKS_MAX_BACKLOG allows.

    Attributes:
        queue: its name.
        limit: how many it may hold.
        unstarted: how many it holds: delayed, retrying and held ones included, running and failed ones not.
    """

    def __init__(self, queue: str, limit: int, unstarted: int) -> None:
        super().__init__(queue, limit, unstarted)
        self.queue = queue
        self.limit = limit
        self.unstarted = unstarted

    def __str__(self) -> str:
        return (
            f"queue {self.queue!r} holds {self.unstarted:,} tasks that have not started, and TASKS_MAX_BACKLOG allows "
            f"{self.limit:,}. Try again later or pass wait_for_room=seconds; run more workers, or raise the limit"
        )


def stopped_meanwhile() -> QueueUnavailableError:
    """Return the error of a call during which the service was stopped."""
    return QueueUnavailableError("of this process", "TaskQueueService was stopped meanwhile", "Call again.")


class EnqueueError(TaskQueueError):
    """A batch went in only in part.

    Attributes:
        accepted: ids of the tasks that are in the queue.
        reason: why the rest is not.
        unconfirmed: ids among `accepted` whose durability was not confirmed.
    """

    def __init__(self, accepted: list[str], reason: str, unconfirmed: Sequence[str] = ()) -> None:
        super().__init__(accepted, reason, unconfirmed)
        self.accepted = accepted
        self.reason = reason
        self.unconfirmed = list(unconfirmed)

    def __str__(self) -> str:
        return (
            f"{len(self.accepted)} tasks were enqueued, the rest were not: {self.reason}. "
            "`accepted` lists the ids of those that were; enqueue the others again."
        )


class DurabilityError(TaskQueueError):
    """Tasks are in the queue and will run, but it was not confirmed in time that they are as safe as asked for.

    Attributes:
        task_ids: ids of these tasks.
        reason: how many confirmed, and in what time.
    """

    def __init__(self, task_ids: list[str], reason: str) -> None:
        super().__init__(task_ids, reason)
        self.task_ids = task_ids
        self.reason = reason

    def __str__(self) -> str:
        which = f"task {self.task_ids[0]!r} is" if len(self.task_ids) == 1 else f"{len(self.task_ids)} tasks are"
        return (
            f"{which} enqueued and will run, but not confirmed to be safe: {self.reason}. If the server is lost now, "
            "so may they be. `task_ids` lists them; don't enqueue them again, unless with a task_id of your own."
        )


class DurabilityUnavailableError(TaskQueueError):
    """The server can't give the durability asked for. Nothing was written.

    Attributes:
        durability: what was asked for.
        server: its version and address, without secrets.
        reason: what it lacks.
        advice: what to try.
    """

    def __init__(self, durability: str, server: str, reason: str, advice: str) -> None:
        super().__init__(durability, server, reason, advice)
        self.durability = durability
        self.server = server
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return (
            f"durability {self.durability!r} can't be had from {self.server}: {self.reason}. Nothing was enqueued. "
            f"{self.advice}"
        )


class ProtocolVersionError(TaskQueueError):
    """A newer version of this package has written to the queue."""

    def __init__(self, queue: str, found: int, known: int) -> None:
        super().__init__(queue, found, known)
        self.queue = queue
        self.found = found
        self.known = known

    def __str__(self) -> str:
        return (
            f"queue {self.queue!r} is written with protocol {self.found}, this version knows {self.known}: "
            "nothing was written. Upgrade singleton-service here (pip install -U singleton-service)."
        )


class TaskFailedError(TaskQueueError):
    """The task failed for good.

    Attributes:
        task_id: the task.
        error_message: what its last attempt said.
    """

    def __init__(self, task_id: str, error_message: str) -> None:
        super().__init__(task_id, error_message)
        self.task_id = task_id
        self.error_message = error_message

    def __str__(self) -> str:
        return f"task {self.task_id!r} failed: {self.error_message}"


class TaskCancelledError(TaskQueueError):
    """The task was cancelled, and has no result."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id!r} was cancelled"


class TaskExpiredError(TaskQueueError):
    """The task's `expires_in` was over before a worker started it."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id!r} expired before a worker started it; run more workers, or raise expires_in"


class TaskNotFoundError(TaskQueueError):
    """Nobody knows the task: it never was, or its result has passed its time."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return (
            f"task {self.task_id!r} is unknown: the id is wrong, or its result was kept for its time and is gone "
            "(TASKS_RESULT_TTL_SECONDS)."
        )


class DiscoveryError(TaskQueueError):
    """Some modules could not be imported, or define a task whose name another one has; the rest is registered.

    Attributes:
        package: where `discover` began.
        failures: what was wrong, by the module's name.
    """

    def __init__(self, package: str, failures: dict[str, str]) -> None:
        super().__init__(package, failures)
        self.package = package
        self.failures = failures

    def __str__(self) -> str:
        told = "".join(f"\n- {name}: {error}" for name, error in self.failures.items())
        return f"{len(self.failures)} modules of {self.package!r} can't be used, the others are registered:{told}"


class TaskTimeoutError(TaskQueueError, TimeoutError):
    """An attempt ran longer than the task's time limit. What `retry_on` and `on_error` see of it.

    Attributes:
        limit_s: the limit, seconds.
        is_stopped: whether the handler was stopped; else its thread runs on, and what comes of it is refused.
    """

    def __init__(self, limit_s: float, *, is_stopped: bool = True) -> None:
        super().__init__(limit_s)
        self.limit_s = limit_s
        self.is_stopped = is_stopped

    def __str__(self) -> str:
        late = "" if self.is_stopped else " and could not be stopped: it still runs in its thread, for nothing"
        return f"it ran longer than its time limit of {self.limit_s:g} s{late}"


class ProcessDiedError(TaskQueueError):
    """The process that ran a handler died under it. What `retry_on` and `on_error` see of it.

    Attributes:
        exit_code: the process's; that of a signal is negative, -11 for SIGSEGV.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code

    def __str__(self) -> str:
        if self.exit_code >= 0:
            return f"its process died: exit code {self.exit_code}"
        try:
            name = Signals(-self.exit_code).name
        except ValueError:
            name = f"signal {-self.exit_code}"
        why = ", sent by somebody or for want of memory" if name == "SIGKILL" else ""
        return f"its process died: {name}{why}"


class TaskInterrupted(BaseException):
    """Thrown into a handler that runs in a thread, when its time limit is over or it was cancelled.

    No Exception, as KeyboardInterrupt is none: a loop that goes on after errors must not go on after this. Clean up in
    `finally`, or catch it, clean up and raise it again. Coroutines are cancelled instead (asyncio.CancelledError).
    """
