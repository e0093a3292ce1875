"""Running one task's handler, and deciding what its end means. Touches no network itself."""

from __future__ import annotations

import contextlib
import inspect
import logging
import time
from functools import partial
from types import CoroutineType, NoneType
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.codec import decode_body
from singleton_service.background.task_queue.current import running_lease
from singleton_service.background.task_queue.errors import TaskInterrupted

from . import scopes, thread_resources
from .endings import Endings, stumble, time_limit_s
from .hooks import AFTER_TASK, BEFORE_TASK, TASK_FAILURE, atell, of_begin, of_end, tell
from .job import Ending, Job
from .loop_resources import LOOP_RESOURCES, all_open
from .scopes import AROUND_COROUTINES, AROUND_FUNCTIONS
from .thread_resources import RESOURCES

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable, Sequence

    from singleton_service.background.task_queue.errors import ProcessDiedError

    from .readiness import Readiness
    from .seat import Seat

logger = logging.getLogger("singleton_service.worker")

# What is a result and nothing else, whatever it holds.
_PLAIN = frozenset((dict, list, tuple, str, int, float, bool, NoneType))


class Execution:
    """Runs jobs: plain handlers in the thread that calls, coroutines on the loop that awaits."""

    def __init__(self, readiness: Readiness, retry_base_s: float, retry_cap_s: float) -> None:
        self._readiness = readiness
        self._loop = readiness.loop
        self._endings = Endings(readiness, retry_base_s, retry_cap_s)

    def run(self, job: Job, seat: Seat) -> None:
        """Call the handler in the calling thread's *seat* and write the ending into the job. Never raises."""
        try:
            trouble = None if self._readiness.is_sure(job.handler) else self._readiness.trouble(job.handler)
            if RESOURCES and trouble is None:
                trouble = thread_resources.trouble()
            if not self._is_ready(job, trouble):
                return
            here = running_lease.set(job.lease)
            try:
                if BEFORE_TASK:
                    tell(of_begin(job.lease), job.lease, self._loop)
                self._call(job, seat)
                if is_told(job):
                    tell(of_end(job), job.lease, self._loop)
            finally:
                running_lease.reset(here)
        except Exception as error:
            stumble(job, error)
        forget(job)

    async def run_async(self, job: Job, seat: Seat) -> None:
        """Do what `run` does, in the task of the running loop that calls. What may block the loop is done in threads.

        Args:
            job: what to run.
            seat: taken while the handler runs; what interrupts it there cancels its task, by default the calling one.
        """
        try:
            trouble = None
            if not self._readiness.is_sure(job.handler):
                import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

                trouble = await asyncio.to_thread(self._readiness.trouble, job.handler)
            if LOOP_RESOURCES and trouble is None and not all_open():
                trouble = await self._loop.keeper.trouble()
            if not self._is_ready(job, trouble):
                return
            here = running_lease.set(job.lease)
            if BEFORE_TASK:
                await atell(of_begin(job.lease), job.lease)
            await self._await(job, seat)
            if is_told(job):
                await atell(of_end(job), job.lease)
            running_lease.reset(here)
        except cancelled():
            # Not the handler was cancelled but what comes before or after it: the loop ends, or somebody is careless.
            if job.ending is None:
                job.ending = Ending.RELEASE
        except Exception as error:
            stumble(job, error)
        forget(job)

    def give_up(self, job: Job) -> Job:
        """Return what is to be reported now of a job whose handler did not end when it was interrupted.

        To be called by another thread than that of the handler, which goes on; whatever comes of it is dropped. A job
        without an ending says that the place is free and the lease is kept, until `overdue` tells the end.
        """
        lost = _stand_in(job)
        if job.keeps_key:
            logger.warning(
                "task %s (%s) can't be stopped. It has a unique key, so it counts as running until its handler ends",
                job.lease.id,
                job.name,
            )
            return lost
        self._end_lost(lost, job.stuck_at)
        return lost

    def overdue(self, job: Job) -> Job | None:
        """Return what is to be reported when the handler of a job that was given up has ended; None: nothing more."""
        if not job.keeps_key:
            return None
        lost = _stand_in(job)
        lost.kind = None  # its place has been free for long
        self._end_lost(lost, job.stuck_at)
        return lost

    def _end_lost(self, job: Job, stuck_at: str | None) -> None:
        here = running_lease.set(job.lease)
        try:
            self._endings.not_stopped(job, stuck_at)
            if is_told(job):
                tell(of_end(job), job.lease, self._loop)
        finally:
            running_lease.reset(here)
        forget(job)

    def died(self, job: Job, error: ProcessDiedError, stack: str | None) -> None:
        """Write the ending of a job whose process died under its handler, or was killed for it. Never raises.

        Args:
            job: its `order` says why the process was killed, if it was.
            error: how the process died.
            stack: where it was, as a traceback.
        """
        here = running_lease.set(job.lease)
        try:
            self._endings.died(job, error, stack)
            if is_told(job):
                tell(of_end(job), job.lease, self._loop)
        except Exception as wrong:
            stumble(job, wrong)
        finally:
            running_lease.reset(here)
        forget(job)

    @staticmethod
    def _is_ready(job: Job, trouble: str | None) -> bool:
        if job.order is not None:
            job.ending = Ending.RELEASE  # cancelled before it began: it ends where its lease ends
            return False
        if trouble is not None:
            # For as long as it takes: it is no fault of the task's.
            job.ending, job.reason = Ending.HOLD, trouble
            return False
        return True

    def _call(self, job: Job, seat: Seat) -> None:
        fields = decode_body(job.lease.body)
        call = self._prepared(job, fields)
        if call is None:
            return
        began = time.perf_counter()
        try:
            if AROUND_FUNCTIONS:
                result = scopes.within(AROUND_FUNCTIONS, lambda: kept(job, self._called(job, seat, call, fields)))
            else:
                result = self._called(job, seat, call, fields)
        except BaseException as error:
            # SystemExit and the like, too: a handler ends its task, never the worker.
            job.run_s = time.perf_counter() - began
            self._endings.failed(job, error, fields)
        else:
            job.run_s = time.perf_counter() - began
            self._endings.returned(job, result, fields)

    async def _await(self, job: Job, seat: Seat) -> None:
        fields = decode_body(job.lease.body)
        call = self._prepared(job, fields)
        if call is None:
            return
        began = time.perf_counter()
        try:
            if AROUND_COROUTINES:

                async def kept_result() -> Any:
                    return kept(job, await awaited(job, seat, call, fields))

                result = await scopes.within_async(AROUND_COROUTINES, kept_result)
            else:
                result = await awaited(job, seat, call, fields)
        except BaseException as error:
            job.run_s = time.perf_counter() - began
            if job.handler.policy.on_error is None:
                self._endings.failed(job, error, fields)
            else:
                import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

                # The hook may take its time, or be a coroutine that wants the loop.
                await asyncio.to_thread(self._endings.failed, job, error, fields)
        else:
            job.run_s = time.perf_counter() - began
            self._endings.returned(job, result, fields)

    def _called(self, job: Job, seat: Seat, call: Callable[[Any], Any], fields: dict[str, Any]) -> Any:
        _set_limit(job, fields)
        result = seat.call(job, call, fields["p"])
        return self._loop.run_seated(result, job, seat) if is_awaitable(result) else result

    def _prepared(self, job: Job, fields: dict[str, Any]) -> Callable[[Any], Any] | None:
        """Return what is to be called with the payload; None, and the job has ended, if the handler can't take it."""
        job.has_begun = True
        handler = job.handler
        if handler.form is None:
            return handler.function
        try:
            return _with_arguments(handler.function, *handler.form.load(fields["p"]))
        except Exception as error:  # a model's own validators may raise anything
            self._endings.refused(job, error)
            return None


async def awaited(job: Job, seat: Seat, call: Callable[[Any], Any], fields: dict[str, Any]) -> Any:
    """Call a handler that may give an awaitable, in a task of the running loop, and return what comes of it."""
    _set_limit(job, fields)
    seat.enter(job, partial(_cancel, job, seat, seat.task or _this_task()))
    try:
        result = call(fields["p"])
        return await result if is_awaitable(result) else result
    finally:
        seat.leave()


def _this_task() -> Task[Any]:
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    task = asyncio.current_task()
    assert task is not None
    return task


def _cancel(job: Job, seat: Seat, task: Task[Any]) -> None:
    """Interrupt a coroutine, from any thread."""
    with contextlib.suppress(RuntimeError):  # the loop has ended, and cancelled it
        task.get_loop().call_soon_threadsafe(_cancel_here, job, seat, task)


def _cancel_here(job: Job, seat: Seat, task: Task[Any]) -> None:
    # Only in the handler: what comes after it must not be hit.
    if seat.has(job):
        task.cancel()


def cancelled() -> type[BaseException]:
    """Return what a cancelled coroutine raises, for an `except`, which asks only when something was raised."""
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    return asyncio.CancelledError


def is_awaitable(result: Any) -> bool:
    """Whether a handler returned something to be awaited. Quick where it did not, or a coroutine."""
    kind = type(result)
    return kind is CoroutineType or (kind not in _PLAIN and inspect.isawaitable(result))


def kept(job: Job, result: Any) -> Any:
    """Return what a handler returned, unless it is dropped anyway."""
    if job.is_abandoned:
        # The task may run elsewhere by now: no scope shall keep what it did.
        raise TaskInterrupted
    return result


def _set_limit(job: Job, fields: dict[str, Any]) -> None:
    limit_s = time_limit_s(fields, job.handler.policy)
    if limit_s is not None:
        job.deadline = time.monotonic() + limit_s
        job.lease.ends_at = time.time() + limit_s


def _stand_in(job: Job) -> Job:
    """Return a job to report in the place of one whose handler still runs, and still writes."""
    other = Job(job.lease, is_marked=True)
    other.has_begun, other.name, other.order = True, job.name, job.order
    other.handler, other.kind, other.run_s = job.handler, job.kind, job.run_s
    return other


def is_told(job: Job) -> bool:
    """Whether anybody wants to hear of the job's end."""
    return bool(AFTER_TASK or TASK_FAILURE) and not job.is_abandoned


def forget(job: Job) -> None:
    """Let go of what hooks were told."""
    # An error's traceback leads to frames that hold the job: neither shall live on by the other.
    job.result = job.error = None
    if job.lease.account is not None:
        job.lease.account.settle(job.lease)


def _with_arguments(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[..., Any]:
    """Return *function* as one that takes a payload, so that those which do are called as they are."""
    return lambda _payload: function(*args, **kwargs)
