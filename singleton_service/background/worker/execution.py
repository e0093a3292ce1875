"""Running one task's handler, and deciding what its end means. Touches no network itself."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
import traceback
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import wall_clock
from singleton_service.background.task_queue.codec import decode_body, encode_error, to_json
from singleton_service.background.task_queue.current import running_lease
from singleton_service.background.task_queue.errors import TaskInterrupted, TaskTimeoutError
from singleton_service.background.task_queue.outcomes import PermanentError, Retry, TaskResult
from singleton_service.exceptions import CircuitOpenError

from . import loop, scopes, seat, thread_resources
from .failures import Judge, returned_failure
from .hooks import AFTER_TASK, BEFORE_TASK, TASK_FAILURE, atell, of_begin, of_end, tell
from .job import Ending, Job
from .loop_resources import LOOP_RESOURCES, all_open
from .scopes import AROUND_COROUTINES, AROUND_FUNCTIONS
from .seat import Order
from .thread_resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from singleton_service.background.task_queue.errors import ProcessDiedError, TaskQueueError
    from singleton_service.background.task_queue.policy import Policy

    from .readiness import Readiness
    from .seat import Seat

logger = logging.getLogger("singleton_service.worker")

# A server takes no string over 512 MiB; long before that a result belongs into a file.
MAX_RESULT_BYTES = 64 * 1024 * 1024

# A plain handler is called from here; a coroutine's error comes back through the loop and its future.
ON_THE_WAY = {
    __file__,
    loop.__file__,
    scopes.__file__,
    seat.__file__,
    contextlib.__file__,
    Future.result.__code__.co_filename,
}

# So ordered, a task ends where its lease ends: as cancelled, or it runs again.
_GIVEN_BACK = frozenset((Order.CANCEL, Order.STOP))


class Execution:
    """Runs jobs: plain handlers in the thread that calls, coroutines on the loop that awaits."""

    def __init__(self, readiness: Readiness, retry_base_s: float, retry_cap_s: float) -> None:
        self._readiness = readiness
        self._loop = readiness.loop
        self._judge = Judge(readiness.loop, retry_base_s, retry_cap_s)

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
            seat: taken while the handler runs; what interrupts it there cancels the calling task.
        """
        try:
            trouble = None
            if not self._readiness.is_sure(job.handler):
                trouble = await asyncio.to_thread(self._readiness.trouble, job.handler)
            if LOOP_RESOURCES and trouble is None and not all_open():
                trouble = await self._loop.keeper.trouble()
            if not self._is_ready(job, trouble):
                return
            running_lease.set(job.lease)  # in the context of this task alone
            if BEFORE_TASK:
                await atell(of_begin(job.lease), job.lease)
            await self._await(job, seat)
            if is_told(job):
                await atell(of_end(job), job.lease)
        except asyncio.CancelledError:
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
            if job.order in _GIVEN_BACK:
                job.ending = Ending.RELEASE
                logger.warning("task %s (%s) was told to end, but its handler can't be stopped", job.lease.id, job.name)
            else:
                fields, policy = decode_body(job.lease.body), job.handler.policy
                error = TaskTimeoutError(time_limit_s(fields, policy) or 0, is_stopped=False)
                self._fail(job, error, fields["m"], type(error).__name__, stuck_at)
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
            self._died(job, error, stack)
            if is_told(job):
                tell(of_end(job), job.lease, self._loop)
        except Exception as wrong:
            stumble(job, wrong)
        finally:
            running_lease.reset(here)
        forget(job)

    def _died(self, job: Job, error: TaskQueueError, stack: str | None) -> None:
        if job.order in _GIVEN_BACK:
            job.ending = Ending.RELEASE
            logger.info("task %s (%s) was cancelled, and its process was killed", job.lease.id, job.name)
            return
        fields = decode_body(job.lease.body)
        if job.order is Order.TIME_LIMIT:
            error = TaskTimeoutError(time_limit_s(fields, job.handler.policy) or 0)
        self._fail(job, error, fields["m"], type(error).__name__, stack)

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
            self._failed(job, error, fields)
        else:
            job.run_s = time.perf_counter() - began
            self._returned(job, result, fields)

    async def _await(self, job: Job, seat: Seat) -> None:
        fields = decode_body(job.lease.body)
        call = self._prepared(job, fields)
        if call is None:
            return

        async def kept_result() -> Any:
            return kept(job, await awaited(job, seat, call, fields))

        began = time.perf_counter()
        try:
            if AROUND_COROUTINES:
                result = await scopes.within_async(AROUND_COROUTINES, kept_result)
            else:
                result = await awaited(job, seat, call, fields)
        except BaseException as error:
            job.run_s = time.perf_counter() - began
            if job.handler.policy.on_error is None:
                self._failed(job, error, fields)
            else:
                # The hook may take its time, or be a coroutine that wants the loop.
                await asyncio.to_thread(self._failed, job, error, fields)
        else:
            job.run_s = time.perf_counter() - began
            self._returned(job, result, fields)

    def _called(self, job: Job, seat: Seat, call: Callable[[Any], Any], fields: dict[str, Any]) -> Any:
        _set_limit(job, fields)
        result = seat.call(job, call, fields["p"])
        return self._loop.run_seated(result, job, seat) if inspect.isawaitable(result) else result

    def _prepared(self, job: Job, fields: dict[str, Any]) -> Callable[[Any], Any] | None:
        """Return what is to be called with the payload; None, and the job has ended, if the handler can't take it."""
        job.has_begun = True
        handler = job.handler
        if handler.form is None:
            return handler.function
        try:
            return _with_arguments(handler.function, *handler.form.load(fields["p"]))
        except Exception as error:  # a model's own validators may raise anything
            self._refuse(job, error)
            return None

    def _returned(self, job: Job, result: Any, fields: dict[str, Any]) -> None:
        if isinstance(result, (TaskResult, dict)):
            self._take(job, result, fields["m"])
        else:
            self._complete(job, result)

    def _failed(self, job: Job, error: BaseException, fields: dict[str, Any], text: str | None = None) -> None:
        if job.is_abandoned:
            return  # to be reported by nobody
        if job.order in _GIVEN_BACK:
            job.ending = Ending.RELEASE
            logger.info("task %s (%s) was interrupted: cancelled, or cut off by a stop", job.lease.id, job.name)
            return
        if text is None:
            text = told(error)
        if job.order is Order.TIME_LIMIT:
            error = TaskTimeoutError(time_limit_s(fields, job.handler.policy) or 0)
        self._fail(job, error, fields["m"], type(error).__name__, text)

    @staticmethod
    def _refuse(job: Job, error: Exception) -> None:
        # It will be no better next time.
        message = f"The handler was not called: {_shown(error)}"
        job.error = error
        job.ending, job.report = Ending.BURY, encode_error(wall_clock.now(), type(error).__name__, message, None)
        logger.error("task %s (%s) failed for good: %s", job.lease.id, job.name, message)

    def _take(self, job: Job, result: TaskResult | dict[Any, Any], max_retries: int) -> None:
        failure = returned_failure(result)
        if failure is None:
            self._complete(job, result.result if isinstance(result, TaskResult) else result)
            return
        error = Retry(reason=str(failure.error)) if failure.retryable else PermanentError(failure.error)
        self._fail(job, error, max_retries, failure.error_type or "TaskResult", None)

    def _complete(self, job: Job, result: Any) -> None:
        # Before anything is acknowledged: a result that can't be kept must not run the task again.
        try:
            result_json = _encode_result(result)
        except Exception as error:  # an object's own methods may raise anything
            message = (
                f"Task result is not JSON: {_shown(error)}. The handler ran and is not run again; "
                "return plain values (str, int, float, bool, None, list, dict)"
            )
            job.error = error
            job.ending, job.report = Ending.BURY, encode_error(wall_clock.now(), type(error).__name__, message, None)
            # The traceback would be of our encoder; the message says it all.
            logger.error("task %s (%s) failed: %s", job.lease.id, job.name, message)  # noqa: TRY400
            return
        job.ending, job.report, job.result = Ending.COMPLETE, result_json, result

    def _fail(self, job: Job, error: BaseException, max_retries: int, kind: str, trace: str | None) -> None:
        if isinstance(error, CircuitOpenError):
            # It was kept from a call that would have failed: no attempt to be counted.
            reason = f"{error.circuit} is open, after {error.last_failure}"
            job.ending, job.reason, job.report = Ending.HOLD, reason, b""
            return
        # It counts all the same: it did run, and a service that does not answer may be its doing.
        self._readiness.doubt(job.handler)
        message = f"Task execution failed: {_shown(error)}"
        job.error = error
        job.report = encode_error(wall_clock.now(), kind, message, trace)
        attempt = job.lease.retry_count + 1
        delay_s = self._judge.wait_s(job.lease, job.handler.policy, error, max_retries)
        shown = trace or message
        if delay_s is None:
            job.ending = Ending.BURY
            logger.error("task %s (%s) failed for good, attempt %d:\n%s", job.lease.id, job.name, attempt, shown)
            return
        job.ending, job.delay_ms = Ending.RETRY, round(delay_s * 1000)
        logger.warning(
            "task %s (%s) failed, attempt %d of %d, again in %g s:\n%s",
            job.lease.id,
            job.name,
            attempt,
            max_retries + 1,
            delay_s,
            shown,
        )


async def awaited(job: Job, seat: Seat, call: Callable[[Any], Any], fields: dict[str, Any]) -> Any:
    """Call a handler that may give an awaitable, in a task of the running loop, and return what comes of it."""
    task = asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and cancelled it
            task.get_loop().call_soon_threadsafe(cancel_here)

    def cancel_here() -> None:
        # Only in the handler: what comes after it must not be hit.
        if seat.has(job):
            task.cancel()

    _set_limit(job, fields)
    seat.enter(job, cancel)
    try:
        result = call(fields["p"])
        return await result if inspect.isawaitable(result) else result
    finally:
        seat.leave()


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


def stumble(job: Job, error: Exception) -> None:
    """Bury a job for an error that is neither its handler's nor ours to foresee."""
    # A body that can't be read, a log handler that raises: not worth a place to run.
    logger.error("task %s (%s) can't be dealt with", job.lease.id, job.name, exc_info=error)
    if job.ending is None:
        message = f"The worker can't deal with the task: {_shown(error)}"
        job.ending, job.report = Ending.BURY, encode_error(wall_clock.now(), type(error).__name__, message, None)


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


def time_limit_s(fields: dict[str, Any], policy: Policy) -> float | None:
    """Return the time limit of a task in seconds: its own, else that of its handler."""
    limit_ms = fields.get("t")
    return policy.timeout if limit_ms is None else float(limit_ms) / 1000


def told(error: BaseException) -> str:
    """Return the traceback from the handler on: the frames that led there are of no use to its author."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in ON_THE_WAY:
        trace = trace.tb_next
    whole = traceback.TracebackException(type(error), error, trace)
    if whole.stack and whole.stack[-1].filename == seat.__file__:
        del whole.stack[-1]  # where an interruption arrived
    return "".join(whole.format())


def _encode_result(result: Any) -> bytes:
    result_json = to_json(result)
    if len(result_json) > MAX_RESULT_BYTES:
        raise ValueError(f"it is {len(result_json):,} bytes, at most {MAX_RESULT_BYTES:,} are kept")
    return result_json


def _shown(error: BaseException) -> str:
    try:
        return str(error) or repr(error)
    except Exception:
        return "(an error that can't be shown)"
