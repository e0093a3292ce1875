"""TaskQueueBench: a task queue of one test, whose workers are the test's own thread."""

from __future__ import annotations

import asyncio
import threading
import uuid
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from singleton_service import stop
from singleton_service._loops import running_loop
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import Retry, Task, TaskQueueService, TaskStatus, wall_clock
from singleton_service.background.task_queue.current import running_lease
from singleton_service.background.worker import WorkerService, hooks
from singleton_service.background.worker.loop import HandlerLoop
from singleton_service.background.worker.readiness import Readiness
from singleton_service.background.worker.tracebacks import from_handler_on

from .clock import Clock
from .enqueued import Enqueued, Expected, TaskName, delay_of, explain, name_of_task
from .failures import Failures
from .hands import Attempt, Hands
from .instead import attribute, environment
from .kept_handlers import KeptHandlers
from .passing import Passing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta

    from singleton_service.background.task_queue.requests import PreparedTask

    from .server import RunServer

Errors: TypeAlias = Literal["raise", "collect"]

_ERRORS: Final = ("raise", "collect")
# A month that passes would be full of them.
_NO_DEFAULTS: Final = {"TASKS_SCHEDULER_CLEANUP": "false", "TASKS_SCHEDULER_HEALTH_CHECK": "false"}


class TaskQueueBench:
    """What the fixture ``task_queue`` gives: `TaskQueueService` on a server and with a clock of the test's own.

    Applications enqueue as ever. No worker takes what they enqueue, unless they start some: `drain` runs it.

    Attributes:
        clock: what time it is for the queue; the test moves it.
    """

    def __init__(self, server: RunServer) -> None:
        """Use `with`; the server outlives it."""
        self.clock = Clock(self._move_to)
        self._server = server
        self._namespace = f"test-{uuid.uuid4().hex[:12]}"
        self._lock = threading.Lock()
        self._enqueued: dict[str, Enqueued] = {}
        self._failures = Failures()
        self._immediate: Errors | None = None
        self._loop = HandlerLoop()
        self._has_begun = False
        self._has_scheduler = False
        self._ahead_ms = 0
        self._undo = ExitStack()

    # Life

    def __enter__(self) -> Self:
        """Take the place of the application's own server.

        Raises:
            RuntimeError: the task queue is in use already.
        """
        if TaskQueueService._initialized:
            raise RuntimeError(
                "TaskQueueService was started before the fixture task_queue, so it may be at the application's own "
                "server. Have whatever starts it ask for task_queue first: def client(task_queue): ..."
            )
        with ExitStack() as undo:
            undo.callback(self._server.erase, self._namespace)
            undo.callback(wall_clock.set_ahead, 0)
            self._server.set_clock(self._namespace, 0)
            undo.callback(KeptHandlers(TaskQueueService._task_handlers).put_back)
            # For processes that the test starts; and a developer's own settings must not reach a real server.
            undo.enter_context(environment(REDIS_URL=self._server.url, TASKS_NAMESPACE=self._namespace, **_NO_DEFAULTS))
            connect = partial(self._server.connect, namespace=self._namespace)
            undo.enter_context(attribute(TaskQueueService, "_connect", connect))
            undo.enter_context(attribute(TaskQueueService, "_send", self._sending()))
            undo.enter_context(attribute(TaskQueueService, "_has_shortcuts", False))
            # Where a task is safe is the server's matter, and no test's.
            undo.enter_context(attribute(TaskQueueService, "_to_confirm", classmethod(lambda _cls, _tasks: set())))
            undo.enter_context(attribute(SchedulerService, "_go", classmethod(self._begin_scheduling)))
            undo.callback(stop, TaskQueueService)
            undo.callback(self._end_work)
            hooks.TASK_FAILURE.append(self._failures.note)
            undo.callback(hooks.TASK_FAILURE.remove, self._failures.note)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop the task queue and what depends on it, and leave nothing behind."""
        self._undo.close()

    # Work

    def drain(self, *, errors: Errors = "raise") -> list[Attempt]:
        """Run tasks in this thread until none is left that may start now, and return the attempts in their order.

        As a worker does them: with their retries, time limits, hooks, resources and scopes. Coroutines run on the
        workers' event loop, in its own thread; tasks with `execution="process"` in this thread, too. Delayed tasks and
        retries stay until the clock is moved. Workers that the application has started are waited for.

        Args:
            errors: "raise" raises what a handler raised, with its traceback, as soon as the queue has been told, and
                whether or not the task is tried again; the rest stays in the queue. A `Retry` is not raised. "collect"
                goes on, and leaves errors in the attempts.

        Raises:
            Exception: what a handler raised.
            TaskHeldError: a task could not be given to its handler.
        """
        __tracebackhide__ = True
        _check_errors(errors)
        return self._work(errors) + self._of_workers(errors)

    async def adrain(self, *, errors: Errors = "raise") -> list[Attempt]:
        """Do as `drain`, for an async test: coroutines run on the running loop, plain handlers in threads."""
        __tracebackhide__ = True
        _check_errors(errors)
        loop = HandlerLoop()
        loop._loop = asyncio.get_running_loop()
        try:
            with Hands(loop, self._failures) as hands:
                await asyncio.to_thread(self._begin_work)
                attempts: list[Attempt] = []
                while jobs := hands.take():
                    await hands.run_async(jobs)
                    attempts += _checked(hands.report(jobs), errors)
            return attempts + await asyncio.to_thread(self._of_workers, errors)
        finally:
            await loop.keeper.close()
            loop.watch.stop()

    @contextmanager
    def immediate(self, *, errors: Errors = "raise") -> Iterator[None]:
        """Within the block, run a task before its enqueue returns, in the thread that enqueues it.

        It goes through the queue as ever: checked, written as JSON, read again, its result kept. So does what handlers
        enqueue. Delayed tasks and retries run when the clock is moved.

        Args:
            errors: as for `drain`; what is raised comes out of the enqueue, or out of `clock.move()`.
        """
        _check_errors(errors)
        with self._running(errors):
            yield

    # Looks

    @property
    def enqueued(self) -> list[Task]:
        """What this process has enqueued in this test, in its order, each as it went in."""
        with self._lock:
            return [each.task for each in self._enqueued.values()]

    def assert_enqueued(
        self,
        task: TaskName,
        payload: Mapping[str, Any] | None = None,
        /,
        *,
        delay: float | timedelta | None = None,
        queue: str | None = None,
        count: int | None = None,
        **fields: Any,
    ) -> list[Task]:
        """See that a task was enqueued in this test, done by now or not, and return all that match as they went in.

        Args:
            task: its name, its function or its class.
            payload: what it was given; fields that are left out may be anything.
            delay: seconds, or a timedelta, from the enqueue until it may start; 0 is at once. Where the application
                gave a point in time it may be up to a second more or less.
            queue: where it went.
            count: how many; one or more unless given. 0: there must be none.
            fields: as `payload`, by name.

        Raises:
            AssertionError: it was not; the message shows what was.
            TypeError: *task* is none.
        """
        __tracebackhide__ = True
        expected = Expected(name_of_task(task), {**(payload or {}), **fields}, delay_of(delay), queue)
        with self._lock:
            all_of_them = list(self._enqueued.values())
        found = [each for each in all_of_them if each.task.name == expected.name and not expected.differences(each)]
        if len(found) == count or (found and count is None):
            return [each.task for each in found]
        raise AssertionError(explain(expected, count, len(found), all_of_them, TaskQueueService._task_handlers))

    # Inside

    @contextmanager
    def _running(self, immediate: Errors | None) -> Iterator[None]:
        before, self._immediate = self._immediate, immediate
        try:
            yield
        finally:
            self._immediate = before

    def _sending(self) -> Any:
        send = TaskQueueService._send

        def send_and_note(
            _cls: type[TaskQueueService], batch: Sequence[PreparedTask], accepted: dict[str, str], room_by: float
        ) -> None:
            try:
                send(batch, accepted, room_by)
            finally:
                self._note(batch, accepted)
            if self._immediate is not None:
                self._work(self._immediate)

        return classmethod(send_and_note)

    def _note(self, batch: Sequence[PreparedTask], accepted: Mapping[str, str]) -> None:
        with self._lock:
            for prepared in batch:
                # One that another task stands for did not go in.
                if accepted.get(prepared.id) == prepared.id and prepared.id not in self._enqueued:
                    self._enqueued[prepared.id] = Enqueued.of(prepared)

    def _work(self, errors: Errors) -> list[Attempt]:
        __tracebackhide__ = True
        with self._loop_elsewhere() as loop, Hands(loop, self._failures) as hands:
            self._begin_work()
            attempts: list[Attempt] = []
            while jobs := hands.take():
                hands.run(jobs)
                attempts += _checked(hands.report(jobs), errors)
            return attempts

    def _begin_work(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            hooks.tell_of_worker(hooks.WORKER_START, self._loop)

    def _end_work(self) -> None:
        _close_resources(self._loop)
        if self._has_begun:
            hooks.tell_of_worker(hooks.WORKER_STOP, self._loop)
        Readiness(self._loop).close()

    @contextmanager
    def _loop_elsewhere(self) -> Iterator[HandlerLoop]:
        """Give a loop for coroutines: one for the whole test, but for what is enqueued on a loop, and holds it up."""
        if running_loop() is None:
            yield self._loop
            return
        loop = HandlerLoop()
        try:
            yield loop
        finally:
            _close_resources(loop)
            Readiness(loop).close()

    def _of_workers(self, errors: Errors) -> list[Attempt]:
        """Wait for the workers of this process, if there are any, and return their attempts that failed."""
        __tracebackhide__ = True
        # Whoever drains within a handler would wait for its own end.
        if WorkerService._crew is not None and running_lease.get() is None:
            WorkerService.wait_for_completion()
        attempts = []
        for task_id, error in self._failures.take_others():
            if (task := TaskQueueService.get_task_status(task_id)) is not None:
                attempts.append(Attempt(task, error))
        return _checked(attempts, errors)

    def _move_to(self, ms: int) -> None:
        if TaskQueueService._initialized:
            work = None if self._immediate is None else partial(self._work, self._immediate)
            # What fires is run when all that is due at that moment has fired.
            later = partial(self._running, None)
            Passing(self._set_clock, later, work, declares=self._has_scheduler).until(ms)
        else:
            self._set_clock(ms)
        if WorkerService._crew is not None:
            # They sleep until what was next is due. A fetch of nothing looks anew, and wakes one if there is work.
            client, queues = TaskQueueService._open_client(), WorkerService._crew.order.names
            client.read([client.protocol(queue).fetch(0, 0, take_suspect=False) for queue in queues])

    def _set_clock(self, ms: int) -> None:
        self._ahead_ms += ms - wall_clock.now_ms()
        self._server.set_clock(self._namespace, self._ahead_ms)
        wall_clock.set_ahead(self._ahead_ms)

    def _begin_scheduling(self, _service: type[SchedulerService]) -> None:
        # No thread that fires at its own pace: time passes when the test says so.
        self._has_scheduler = True


def _close_resources(loop: HandlerLoop) -> None:
    """Close what coroutines on a loop share."""
    if loop.loop is not None:
        loop.run(loop.keeper.close())


def _check_errors(errors: object) -> None:
    if errors not in _ERRORS:
        raise ValueError(f"errors {errors!r} is unknown: it is one of {', '.join(map(repr, _ERRORS))}")


def _checked(attempts: list[Attempt], errors: Errors) -> list[Attempt]:
    """Return the attempts, unless the error of one is to be raised."""
    __tracebackhide__ = True
    for attempt in attempts:
        error, task = attempt.error, attempt.task
        if error is None or (isinstance(error, Retry) and task.status is TaskStatus.RETRYING):
            continue
        # A Ctrl-C, and pytest's own outcomes, are no errors of handlers.
        if errors == "raise" or not isinstance(error, Exception):
            raise error.with_traceback(from_handler_on(error))
    return attempts
