"""Calling a handler once for a batch of tasks, and giving each of them its own ending."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from singleton_service.background.task_queue.codec import decode_body
from singleton_service.background.task_queue.current import running_batch, running_lease
from singleton_service.background.task_queue.outcomes import PermanentError

from . import scopes, thread_resources
from .batch import Batch
from .endings import logger, stumble, time_limit_s
from .execution import Execution, awaited, cancelled, forget, is_told, kept
from .hooks import BEFORE_TASK, atell, of_begin, of_end, tell
from .job import Ending
from .loop_resources import LOOP_RESOURCES, all_open
from .scopes import AROUND_COROUTINES, AROUND_FUNCTIONS
from .seat import Order
from .thread_resources import RESOURCES
from .tracebacks import told

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from .hooks import Calls
    from .job import Job
    from .seat import Seat


class _Call(NamedTuple):
    """What the handler is to be called with: one payload for each job, and the fields of the body of each."""

    jobs: list[Job]
    each: list[dict[str, Any]]
    # As of one body: the list of payloads, and the smallest time limit.
    fields: dict[str, Any]


class BatchExecution(Execution):
    """Runs jobs as `Execution` does, and batches."""

    def run(self, job: Job, seat: Seat) -> None:
        """Call the handler in the calling thread's *seat* and write the endings into the jobs. Never raises."""
        if isinstance(job, Batch):
            self._run_batch(job, seat)
        else:
            super().run(job, seat)

    def run_async(self, job: Job, seat: Seat) -> Coroutine[Any, Any, None]:
        """Do what `run` does, in the task of the running loop that awaits."""
        return self._run_batch_async(job, seat) if isinstance(job, Batch) else super().run_async(job, seat)

    def give_up(self, job: Job) -> Job:
        """Return what is to be reported now of a job, or of all in a batch, whose handler could not be stopped."""
        give_up = super().give_up
        if not isinstance(job, Batch):
            return give_up(job)
        for each in job.members:
            each.stuck_at = job.stuck_at
        # What has ended did so before the handler was called.
        return Batch([each if each.ending else give_up(each) for each in job.members], str(job.kind))

    def overdue(self, job: Job) -> Job | None:
        """Return what is to be reported when a handler that was given up has ended; None: nothing more."""
        overdue = super().overdue
        if not isinstance(job, Batch):
            return overdue(job)
        lost = [late for each in job.members if each.ending is None and (late := overdue(each)) is not None]
        return Batch(lost, str(job.kind)) if lost else None

    def _run_batch(self, batch: Batch, seat: Seat) -> None:
        try:
            trouble = None if self._readiness.is_sure(batch.handler) else self._readiness.trouble(batch.handler)
            if RESOURCES and trouble is None:
                trouble = thread_resources.trouble()
            jobs = self._ready(batch, trouble)
            here = running_batch.set(tuple(job.lease for job in jobs))
            try:
                if BEFORE_TASK:
                    self._tell([(job, of_begin(job.lease)) for job in jobs])
                self._call_batch(batch, jobs, seat)
                self._tell([(job, of_end(job)) for job in jobs if is_told(job)])
            finally:
                running_batch.reset(here)
        except Exception as error:
            _stumble_all(batch, error)
        _forget_all(batch)

    async def _run_batch_async(self, batch: Batch, seat: Seat) -> None:
        try:
            trouble = None
            if not self._readiness.is_sure(batch.handler):
                import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

                trouble = await asyncio.to_thread(self._readiness.trouble, batch.handler)
            if LOOP_RESOURCES and trouble is None and not all_open():
                trouble = await self._loop.keeper.trouble()
            jobs = self._ready(batch, trouble)
            here = running_batch.set(tuple(job.lease for job in jobs))
            if BEFORE_TASK:
                await _atell([(job, of_begin(job.lease)) for job in jobs])
            await self._await_batch(batch, jobs, seat)
            await _atell([(job, of_end(job)) for job in jobs if is_told(job)])
            running_batch.reset(here)
        except cancelled():
            for job in batch.members:
                if job.ending is None:
                    job.ending = Ending.RELEASE
        except Exception as error:
            _stumble_all(batch, error)
        _forget_all(batch)

    def _ready(self, batch: Batch, trouble: str | None) -> list[Job]:
        """Return the jobs that can be done now; the others have ended."""
        if batch.order is not None:
            batch.tell(batch.order)
        return [job for job in batch.members if self._is_ready(job, trouble)]

    def _call_batch(self, batch: Batch, jobs: Sequence[Job], seat: Seat) -> None:
        call = self._prepared_batch(batch, jobs)
        if not call.jobs:
            return
        function = batch.handler.function
        began = time.perf_counter()
        try:
            if AROUND_FUNCTIONS:
                result = scopes.within(
                    AROUND_FUNCTIONS, lambda: kept(batch, self._called(batch, seat, function, call.fields))
                )
            else:
                result = self._called(batch, seat, function, call.fields)
        except BaseException as error:
            # SystemExit and the like, too, as from the handler of one task.
            batch.run_s = time.perf_counter() - began
            self._settle(batch, call, [error] * len(call.jobs), told(error))
        else:
            batch.run_s = time.perf_counter() - began
            self._settle(batch, call, _outcomes(result, len(call.jobs)))

    async def _await_batch(self, batch: Batch, jobs: Sequence[Job], seat: Seat) -> None:
        call = self._prepared_batch(batch, jobs)
        if not call.jobs:
            return
        function = batch.handler.function

        async def kept_result() -> Any:
            return kept(batch, await awaited(batch, seat, function, call.fields))

        began = time.perf_counter()
        try:
            if AROUND_COROUTINES:
                result = await scopes.within_async(AROUND_COROUTINES, kept_result)
            else:
                result = await awaited(batch, seat, function, call.fields)
        except BaseException as error:
            batch.run_s = time.perf_counter() - began
            await self._settle_async(batch, call, [error] * len(call.jobs), told(error))
        else:
            batch.run_s = time.perf_counter() - began
            await self._settle_async(batch, call, _outcomes(result, len(call.jobs)))

    async def _settle_async(self, batch: Batch, call: _Call, outcomes: Sequence[Any], text: str | None = None) -> None:
        if batch.handler.policy.on_error is None:
            self._settle(batch, call, outcomes, text)
        else:
            import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

            # The hook may take its time, or be a coroutine that wants the loop.
            await asyncio.to_thread(self._settle, batch, call, outcomes, text)

    def _prepared_batch(self, batch: Batch, jobs: Sequence[Job]) -> _Call:
        """Return what to call the handler with; a payload that it can't take has ended its job, and no other."""
        handler = batch.handler
        batch.has_begun = True
        call = _Call([], [], {"p": []})
        for job in jobs:
            job.has_begun = True
            try:
                fields = decode_body(job.lease.body)
                value = fields["p"] if handler.form is None else handler.form.load(fields["p"])[0][0]
            except Exception as error:  # a model's own validators may raise anything
                self._endings.refused(job, error)
                continue
            call.jobs.append(job)
            call.each.append(fields)
            call.fields["p"].append(value)
        limits = [limit for fields in call.each if (limit := time_limit_s(fields, handler.policy)) is not None]
        if limits:
            ends_at = time.time() + min(limits)
            for job, fields in zip(call.jobs, call.each, strict=True):
                job.lease.ends_at = ends_at
                fields["t"] = min(limits) * 1000
            call.fields["t"] = min(limits) * 1000
        return call

    def _settle(self, batch: Batch, call: _Call, outcomes: Sequence[Any], text: str | None = None) -> None:
        """Give each job its ending: its element of what the handler returned, or an error; *text* tells that of all."""
        if batch.is_abandoned:
            return  # to be reported by nobody
        logged: Job | None = None
        for job, fields, outcome in zip(call.jobs, call.each, outcomes, strict=True):
            job.run_s = batch.run_s
            here = running_lease.set(job.lease)
            try:
                if job.order is Order.CANCEL and batch.order is None:
                    # The handler did it all the same, for the others were not to be interrupted.
                    job.ending = Ending.RELEASE
                    logger.info(
                        "task %s (%s) was cancelled in its batch; its result is dropped", job.lease.id, job.name
                    )
                elif isinstance(outcome, BaseException):
                    self._endings.failed(job, outcome, fields, text, logged)
                    logged = job if text is not None and logged is None else logged
                else:
                    self._endings.returned(job, outcome, fields)
            except Exception as error:
                stumble(job, error)
            finally:
                running_lease.reset(here)

    def _tell(self, calls: Sequence[tuple[Job, Calls]]) -> None:
        for job, hooks in calls:
            here = running_lease.set(job.lease)
            try:
                tell(hooks, job.lease, self._loop)
            finally:
                running_lease.reset(here)


async def _atell(calls: Sequence[tuple[Job, Calls]]) -> None:
    for job, hooks in calls:
        here = running_lease.set(job.lease)
        try:
            await atell(hooks, job.lease)
        finally:
            running_lease.reset(here)


def _outcomes(result: Any, number: int) -> Sequence[Any]:
    """Return what each payload came to."""
    if result is None:
        return [None] * number
    if isinstance(result, list) and len(result) == number:
        return result
    what = f"a list of {len(result)}" if isinstance(result, list) else f"an object of type {type(result).__name__}"
    error = PermanentError(
        f"the handler returned {what} for a batch of {number} payloads. It ran and is not run again; "
        "return None, or a list with one result for each payload, in their order"
    )
    return [error] * number


def _stumble_all(batch: Batch, error: Exception) -> None:
    for job in batch.members:
        if job.ending is None:
            stumble(job, error)


def _forget_all(batch: Batch) -> None:
    for job in batch.members:
        forget(job)
    batch.ending = Ending.HOLD if all(job.ending is Ending.HOLD for job in batch.members) else Ending.COMPLETE
