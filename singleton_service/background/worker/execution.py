"""Running one task's handler, and deciding what its end means. Runs in a pool thread; touches no network itself."""

from __future__ import annotations

import contextlib
import inspect
import logging
import time
import traceback
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.codec import (
    NEWER_VERSION,
    decode_body,
    encode_error,
    is_readable,
    to_json,
)
from singleton_service.background.task_queue.current import running_lease
from singleton_service.background.task_queue.errors import TaskInterrupted, TaskTimeoutError
from singleton_service.background.task_queue.outcomes import PermanentError, Retry, TaskResult
from singleton_service.exceptions import CircuitOpenError

from . import loop, resources, scopes, seat
from .failures import Judge, returned_failure
from .hooks import AFTER_TASK, BEFORE_TASK, TASK_FAILURE, tell_of_begin, tell_of_end
from .job import Ending, Job
from .resources import RESOURCES
from .scopes import SCOPES
from .seat import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from singleton_service.background.task_queue.errors import ProcessDiedError, TaskQueueError
    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.task_queue.policy import Policy

    from .readiness import Readiness
    from .seat import Seat

logger = logging.getLogger("singleton_service.worker")

# A server takes no string over 512 MiB; long before that a result belongs into a file.
MAX_RESULT_BYTES = 64 * 1024 * 1024

# A plain handler is called from here; a coroutine's error comes back through the loop and its future.
ON_THE_WAY = frozenset(
    {__file__, loop.__file__, scopes.__file__, seat.__file__, contextlib.__file__, Future.result.__code__.co_filename}
)


class Execution:
    """Runs jobs with the handlers of this process."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        readiness: Readiness,
        retry_base_s: float,
        retry_cap_s: float,
    ) -> None:
        self._handlers = handlers
        self._readiness = readiness
        self._loop = readiness.loop
        self._judge = Judge(readiness.loop, retry_base_s, retry_cap_s)
        self._unknown: set[str] = set()

    def run(self, job: Job, seat: Seat) -> None:
        """Call the handler in the calling thread's *seat* and write the ending into the job. Never raises."""
        try:
            self._run(job, seat)
        except Exception as error:
            # A body that can't be read, a log handler that raises: not worth a thread of the pool.
            self._give_in(job, error)

    def give_up(self, job: Job) -> Job:
        """Return what is to be reported of a job whose handler did not end when it was interrupted.

        To be called by another thread than that of the handler, which goes on; whatever comes of it is dropped.
        """
        lost = Job(job.lease, is_marked=True)
        lost.has_begun, lost.name, lost.order, lost.handler = True, job.name, job.order, job.handler
        lost.run_s = job.run_s
        here = running_lease.set(job.lease)
        try:
            if job.order is Order.CANCEL:
                lost.ending = Ending.RELEASE
                logger.warning("task %s (%s) was cancelled, but its handler can't be stopped", job.lease.id, job.name)
            else:
                fields, policy = decode_body(job.lease.body), job.handler.policy
                error = TaskTimeoutError(_limit_s(fields, policy) or 0, is_stopped=False)
                self._fail(lost, error, policy, fields["m"], type(error).__name__, job.stuck_at)
            self._ended(lost)
        finally:
            running_lease.reset(here)
        return lost

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
            self._ended(job)
        except Exception as wrong:
            self._give_in(job, wrong)
        finally:
            running_lease.reset(here)

    def _died(self, job: Job, error: TaskQueueError, stack: str | None) -> None:
        if job.order is Order.CANCEL:
            job.ending = Ending.RELEASE
            logger.info("task %s (%s) was cancelled, and its process was killed", job.lease.id, job.name)
            return
        fields, policy = decode_body(job.lease.body), job.handler.policy
        if job.order is Order.TIME_LIMIT:
            error = TaskTimeoutError(_limit_s(fields, policy) or 0)
        self._fail(job, error, policy, fields["m"], type(error).__name__, stack)

    def _run(self, job: Job, seat: Seat) -> None:
        lease = job.lease
        if job.order is not None:
            job.ending = Ending.RELEASE  # cancelled before it began: it ends where its lease ends
            return
        if not is_readable(lease.body):
            # For as long as it takes: whoever wrote it has a worker that can read it, or will have.
            job.ending, job.reason, job.report = Ending.HOLD, NEWER_VERSION, b""
            return
        fields = decode_body(lease.body)
        job.name = fields["n"]
        handler = self._handlers.get(job.name)
        if handler is None:
            self._hold_unknown(job)
            return
        job.handler = handler
        reason = None if handler.service is None else self._readiness.trouble(handler)
        if RESOURCES and reason is None:
            reason = resources.trouble()
        if reason is not None:
            # For as long as it takes: it is no fault of the task's.
            job.ending, job.reason, job.report = Ending.HOLD, reason, b""
            return
        here = running_lease.set(lease)
        try:
            if BEFORE_TASK:
                tell_of_begin(lease, self._loop)
            self._attempt(job, seat, handler, fields)
            self._ended(job)
        finally:
            running_lease.reset(here)
        if lease.account is not None:
            lease.account.settle(lease)

    def _attempt(self, job: Job, seat: Seat, handler: Handler, fields: dict[str, Any]) -> None:
        lease = job.lease
        job.has_begun = True
        call = handler.function
        if handler.form is not None:
            try:
                call = _prepared(call, *handler.form.load(fields["p"]))
            except Exception as error:  # a model's own validators may raise anything
                self._refuse(job, error)
                return
        limit_s = _limit_s(fields, handler.policy)
        began = time.perf_counter()
        try:
            if SCOPES:
                result = scopes.within(SCOPES, lambda: self._kept(job, seat, call, fields["p"], limit_s))
            else:
                result = self._called(job, seat, call, fields["p"], limit_s)
        except BaseException as error:
            # SystemExit and the like, too: a handler ends its task, never the worker.
            job.run_s = time.perf_counter() - began
            if job.is_abandoned:
                return  # to be reported by nobody
            if job.order is Order.CANCEL:
                job.ending = Ending.RELEASE
                logger.info("task %s (%s) was interrupted: cancelled, or cut off by a stop", lease.id, job.name)
                return
            text = _told(error)
            if job.order is Order.TIME_LIMIT:
                error = TaskTimeoutError(limit_s or 0)
            self._fail(job, error, handler.policy, fields["m"], type(error).__name__, text)
        else:
            job.run_s = time.perf_counter() - began
            if isinstance(result, (TaskResult, dict)):
                self._take(job, result, handler.policy, fields["m"])
            else:
                self._complete(job, result)

    def _called(self, job: Job, seat: Seat, call: Callable[..., Any], payload: Any, limit_s: float | None) -> Any:
        if limit_s is not None:
            job.deadline = time.monotonic() + limit_s
            job.lease.ends_at = time.time() + limit_s
        result = seat.call(job, call, payload)
        return self._loop.run_seated(result, job, seat) if inspect.isawaitable(result) else result

    def _kept(self, job: Job, *how: Any) -> Any:
        result = self._called(job, *how)
        if job.is_abandoned:
            # It is dropped, and the task may run elsewhere by now: no scope shall keep what it did.
            raise TaskInterrupted
        return result

    def _ended(self, job: Job) -> None:
        if (AFTER_TASK or TASK_FAILURE) and not job.is_abandoned:
            tell_of_end(job, self._loop)
        # An error's traceback leads to frames that hold the job: neither shall live on by the other.
        job.result = job.error = None

    @staticmethod
    def _give_in(job: Job, error: Exception) -> None:
        logger.error("task %s (%s) can't be dealt with", job.lease.id, job.name, exc_info=error)
        if job.ending is None:
            message = f"The worker can't deal with the task: {_shown(error)}"
            job.ending, job.report = Ending.BURY, encode_error(_now(), type(error).__name__, message, None)

    @staticmethod
    def _refuse(job: Job, error: Exception) -> None:
        # It will be no better next time.
        message = f"The handler was not called: {_shown(error)}"
        job.error = error
        job.ending, job.report = Ending.BURY, encode_error(_now(), type(error).__name__, message, None)
        logger.error("task %s (%s) failed for good: %s", job.lease.id, job.name, message)

    def _take(self, job: Job, result: TaskResult | dict[Any, Any], policy: Policy, max_retries: int) -> None:
        failure = returned_failure(result)
        if failure is None:
            self._complete(job, result.result if isinstance(result, TaskResult) else result)
            return
        error = Retry(reason=str(failure.error)) if failure.retryable else PermanentError(failure.error)
        self._fail(job, error, policy, max_retries, failure.error_type or "TaskResult", None)

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
            job.ending, job.report = Ending.BURY, encode_error(_now(), type(error).__name__, message, None)
            # The traceback would be of our encoder; the message says it all.
            logger.error("task %s (%s) failed: %s", job.lease.id, job.name, message)  # noqa: TRY400
            return
        job.ending, job.report, job.result = Ending.COMPLETE, result_json, result

    def _fail(  # noqa: PLR0913 - all that is known of the attempt
        self, job: Job, error: BaseException, policy: Policy, max_retries: int, kind: str, trace: str | None
    ) -> None:
        if isinstance(error, CircuitOpenError):
            # It was kept from a call that would have failed: no attempt to be counted.
            reason = f"{error.circuit} is open, after {error.last_failure}"
            job.ending, job.reason, job.report = Ending.HOLD, reason, b""
            return
        # It counts all the same: it did run, and a service that does not answer may be its doing.
        self._readiness.doubt(job.handler)
        message = f"Task execution failed: {_shown(error)}"
        job.error = error
        job.report = encode_error(_now(), kind, message, trace)
        attempt = job.lease.retry_count + 1
        delay_s = self._judge.wait_s(job.lease, policy, error, max_retries)
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

    def _hold_unknown(self, job: Job) -> None:
        job.ending, job.reason = Ending.HOLD, f"No handler registered for task: {job.name}"
        job.report = encode_error(_now(), "NoHandler", job.reason, None)
        if job.name not in self._unknown:
            # Once per name: the commonest reason is a module that was not imported.
            self._unknown.add(job.name)
            logger.warning(
                "task %s is held: this worker has no handler for %r. Import the module that defines it before the "
                "workers start; other workers that know it may take the task",
                job.lease.id,
                job.name,
            )


def _prepared(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[..., Any]:
    """Return *function* as one that takes a payload, so that those which do are called as they are."""
    return lambda _payload: function(*args, **kwargs)


def _limit_s(fields: dict[str, Any], policy: Policy) -> float | None:
    """Return the time limit of a task in seconds: its own, else that of its handler."""
    limit_ms = fields.get("t")
    return policy.timeout if limit_ms is None else float(limit_ms) / 1000


def _told(error: BaseException) -> str:
    """Return the traceback from the handler on: the frames that led there are of no use to its author."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in ON_THE_WAY:
        trace = trace.tb_next
    told = traceback.TracebackException(type(error), error, trace)
    if told.stack and told.stack[-1].filename == seat.__file__:
        del told.stack[-1]  # where an interruption arrived
    return "".join(told.format())


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


def _now() -> datetime:
    return datetime.now(UTC)
