"""What the end of a handler means for its task, and how the job tells it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import wall_clock
from singleton_service.background.task_queue.codec import decode_body, encode_error, to_json
from singleton_service.background.task_queue.errors import TaskTimeoutError
from singleton_service.background.task_queue.outcomes import PermanentError, Retry, TaskResult
from singleton_service.exceptions import CircuitOpenError

from .failures import Judge, is_outcome, returned_failure
from .job import Ending
from .seat import Order
from .tracebacks import shown, told

if TYPE_CHECKING:
    from singleton_service.background.task_queue.errors import TaskQueueError
    from singleton_service.background.task_queue.policy import Policy

    from .job import Job
    from .readiness import Readiness

logger = logging.getLogger("singleton_service.worker")

# A server takes no string over 512 MiB; long before that a result belongs into a file.
MAX_RESULT_BYTES = 64 * 1024 * 1024

# So ordered, a task ends where its lease ends: as cancelled, or it runs again.
_GIVEN_BACK = frozenset((Order.CANCEL, Order.STOP))


class Endings:
    """Writes into a job how it ended: with a result, to be tried again and when, for good, held, or given back."""

    def __init__(self, readiness: Readiness, retry_base_s: float, retry_cap_s: float) -> None:
        self._readiness = readiness
        self._judge = Judge(readiness.loop, retry_base_s, retry_cap_s)

    def returned(self, job: Job, result: Any, fields: dict[str, Any]) -> None:
        """The handler returned this; *fields* are those of the task's body."""
        if is_outcome(result):
            self._take(job, result, fields["m"])
        else:
            self._complete(job, result)

    def failed(
        self, job: Job, error: BaseException, fields: dict[str, Any], text: str | None = None, logged: Job | None = None
    ) -> None:
        """The handler raised this.

        Args:
            job: what it was called for.
            error: what it raised.
            fields: those of the task's body.
            text: its traceback, where that has been written already.
            logged: another job that failed by the same error, with which the log has the traceback.
        """
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
        self._fail(job, error, fields["m"], type(error).__name__, text, logged)

    @staticmethod
    def refused(job: Job, error: Exception) -> None:
        """The handler was not called, for its payload can't be what it takes."""
        # It will be no better next time.
        message = f"The handler was not called: {shown(error)}"
        job.error = error
        job.ending, job.report = Ending.BURY, encode_error(wall_clock.now(), type(error).__name__, message, None)
        logger.error("task %s (%s) failed for good: %s", job.lease.id, job.name, message)

    def died(self, job: Job, error: TaskQueueError, stack: str | None) -> None:
        """The process died under the handler, at *stack*, or was killed for it: `job.order` says why."""
        if job.order in _GIVEN_BACK:
            job.ending = Ending.RELEASE
            logger.info("task %s (%s) was cancelled, and its process was killed", job.lease.id, job.name)
            return
        fields = decode_body(job.lease.body)
        if job.order is Order.TIME_LIMIT:
            error = TaskTimeoutError(time_limit_s(fields, job.handler.policy) or 0)
        self._fail(job, error, fields["m"], type(error).__name__, stack)

    def not_stopped(self, job: Job, stuck_at: str | None) -> None:
        """Write the ending of a job whose handler was interrupted and goes on; *stuck_at* is where, as a traceback."""
        if job.order in _GIVEN_BACK:
            job.ending = Ending.RELEASE
            logger.warning("task %s (%s) was told to end, but its handler can't be stopped", job.lease.id, job.name)
            return
        fields, policy = decode_body(job.lease.body), job.handler.policy
        error = TaskTimeoutError(time_limit_s(fields, policy) or 0, is_stopped=False)
        self._fail(job, error, fields["m"], type(error).__name__, stuck_at)

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
                f"Task result is not JSON: {shown(error)}. The handler ran and is not run again; "
                "return plain values (str, int, float, bool, None, list, dict)"
            )
            job.error = error
            job.ending, job.report = Ending.BURY, encode_error(wall_clock.now(), type(error).__name__, message, None)
            # The traceback would be of our encoder; the message says it all.
            logger.error("task %s (%s) failed: %s", job.lease.id, job.name, message)  # noqa: TRY400
            return
        job.ending, job.report, job.result = Ending.COMPLETE, result_json, result

    def _fail(  # noqa: PLR0913 - what there is to say of one failure
        self,
        job: Job,
        error: BaseException,
        max_retries: int,
        kind: str,
        trace: str | None,
        logged: Job | None = None,
    ) -> None:
        if isinstance(error, CircuitOpenError):
            # It was kept from a call that would have failed: no attempt to be counted.
            reason = f"{error.circuit} is open, after {error.last_failure}"
            job.ending, job.reason, job.report = Ending.HOLD, reason, b""
            return
        # It counts all the same: it did run, and a service that does not answer may be its doing.
        self._readiness.doubt(job.handler)
        message = f"Task execution failed: {shown(error)}"
        job.error = error
        job.report = encode_error(wall_clock.now(), kind, message, trace)
        attempt = job.lease.retry_count + 1
        delay_s = self._judge.wait_s(job.lease, job.handler.policy, error, max_retries)
        text = f"as task {logged.lease.id}, with which it was done" if logged else trace or message
        if delay_s is None:
            job.ending = Ending.BURY
            logger.error("task %s (%s) failed for good, attempt %d:\n%s", job.lease.id, job.name, attempt, text)
            return
        job.ending, job.delay_ms = Ending.RETRY, round(delay_s * 1000)
        logger.warning(
            "task %s (%s) failed, attempt %d of %d, again in %g s:\n%s",
            job.lease.id,
            job.name,
            attempt,
            max_retries + 1,
            delay_s,
            text,
        )


def stumble(job: Job, error: Exception) -> None:
    """Bury a job for an error that is neither its handler's nor ours to foresee."""
    # A body that can't be read, a log handler that raises: not worth a place to run.
    logger.error("task %s (%s) can't be dealt with", job.lease.id, job.name, exc_info=error)
    if job.ending is None:
        message = f"The worker can't deal with the task: {shown(error)}"
        job.ending, job.report = Ending.BURY, encode_error(wall_clock.now(), type(error).__name__, message, None)


def time_limit_s(fields: dict[str, Any], policy: Policy) -> float | None:
    """Return the time limit of a task in seconds: its own, else that of its handler."""
    limit_ms = fields.get("t")
    return policy.timeout if limit_ms is None else float(limit_ms) / 1000


def _encode_result(result: Any) -> bytes:
    result_json = to_json(result)
    if len(result_json) > MAX_RESULT_BYTES:
        raise ValueError(f"it is {len(result_json):,} bytes, at most {MAX_RESULT_BYTES:,} are kept")
    return result_json
