"""The one event loop on which the coroutine handlers of this process run, in a thread of its own.

One loop for the worker's whole life: a client session that a handler keeps is never bound to a closed loop.
"""

from __future__ import annotations

import inspect
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.errors import TaskInterrupted
from singleton_service.workers._asyncio import new_loop

from .loop_resources import Keeper
from .loop_watch import LoopWatch

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from .job import Job
    from .seat import Seat

_LONGEST_STOP_S = 5.0


class HandlerLoop:
    """Runs awaitables for threads that have no loop. It is one of uvloop's where that is installed.

    Attributes:
        watch: reports who blocks it; whatever runs on the loop enters there.
        keeper: opens and closes on it what coroutines share.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._has_ended = False
        self.watch = LoopWatch()
        self.keeper = Keeper()

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The loop itself; None until something ran on it."""
        return self._loop

    @property
    def is_alive(self) -> bool:
        """Whether the loop's thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have *callback* called on the loop.

        Raises:
            RuntimeError: the loop was stopped.
        """
        with self._lock:
            self._begun().call_soon_threadsafe(callback)

    def run(self, awaitable: Awaitable[Any], job: Job | None = None, timeout_s: float | None = None) -> Any:
        """Run *awaitable*, for a job if so, on the loop and return what it gives; the calling thread waits.

        Raises:
            TimeoutError: it takes longer than that, or something else blocks the loop.
        """
        return self._send(_Errand(awaitable, self.watch, job)).result(timeout_s)

    def run_seated(self, awaitable: Awaitable[Any], job: Job, seat: Seat) -> Any:
        """Do what `run` does; meanwhile it is *awaitable* that is interrupted in the thread's *seat*."""
        errand = _Errand(awaitable, self.watch, job)
        future = self._send(errand)
        seat.enter(job, errand.cancel)
        try:
            return future.result()
        finally:
            seat.leave()

    def stop(self) -> None:
        """Cancel what still runs on the loop, and end it; nothing runs on it afterwards."""
        with self._lock:
            self._is_stopping = True
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return
            with suppress(RuntimeError):  # closed by an earlier stop
                loop.call_soon_threadsafe(self._end, loop)
        # A coroutine that blocks the loop must not block the stop.
        thread.join(_LONGEST_STOP_S)
        self.watch.stop()

    def _send(self, errand: _Errand) -> Future[Any]:
        import asyncio  # noqa: PLC0415 - only for coroutines

        # Under the lock: what is sent before the stop is begun, and cancelled by it; what comes later is refused.
        with self._lock:
            try:
                loop = self._begun()
            except RuntimeError:
                errand.drop()
                raise
            return asyncio.run_coroutine_threadsafe(errand.run(), loop)

    def _begun(self) -> AbstractEventLoop:
        if self._is_stopping:
            raise RuntimeError("the workers were stopped meanwhile")
        if self._loop is None:
            loop = new_loop()
            thread = threading.Thread(target=self._serve, args=(loop,), name="worker-asyncio", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads to be had
                loop.close()
                raise
            self._loop, self._thread = loop, thread
        return self._loop

    def _serve(self, loop: AbstractEventLoop) -> None:
        import asyncio  # noqa: PLC0415 - there is a loop, so it is loaded

        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            while not self._has_ended:
                # A coroutine raised it: its caller is told, and the loop goes on for the others.
                with suppress(KeyboardInterrupt, SystemExit):
                    runner.get_loop().run_forever()
            # The runner's end cancels what is left, closes async generators and the loop.

    def _end(self, loop: AbstractEventLoop) -> None:
        self._has_ended = True
        loop.stop()


class _Errand:
    """An awaitable on its way to the loop, which may be cancelled from another thread at any time."""

    def __init__(self, awaitable: Awaitable[Any], watch: LoopWatch, job: Job | None) -> None:
        self._awaitable = awaitable
        self._watch = watch
        self._job = job
        self._task: Task[Any] | None = None
        self._is_cancelled = False

    async def run(self) -> Any:
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        if self._is_cancelled:
            self.drop()
            raise asyncio.CancelledError
        self._task = task = asyncio.current_task()
        assert task is not None
        self._watch.enter(task, self._job)
        try:
            return await self._awaitable
        except asyncio.CancelledError as error:
            if not self._is_cancelled:
                raise
            # Between futures a cancellation loses its traceback, and with it where the coroutine was.
            raise TaskInterrupted().with_traceback(error.__traceback__) from None
        finally:
            self._watch.leave(task)

    def cancel(self) -> None:
        """Cancel it. Its end comes when it has dealt with that."""
        self._is_cancelled = True
        task = self._task
        if task is not None:
            with suppress(RuntimeError):  # the loop has ended, and cancelled it
                task.get_loop().call_soon_threadsafe(task.cancel)

    def drop(self) -> None:
        """Let go of it before it began, without a warning that nobody awaited it."""
        if inspect.iscoroutine(self._awaitable):
            self._awaitable.close()
