"""Where hooks run when they cannot run where the call is: helper threads and background loops."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue

from ._operations import after_fork, lock, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any, Self, TypeVar

    from ._operations import Operation

    T = TypeVar("T")

__all__ = [
    "BoundedThread",
    "background_loop_for",
    "close_background_loops",
    "described",
    "in_thread",
    "is_usable",
    "run_bounded",
    "run_fresh_for",
    "run_on",
    "running_loop",
]

LOOK_EVERY_S = 0.05
"""How often a thread that waits for an event loop looks whether that loop still runs."""


class _BackgroundLoop:
    """An event loop with a thread of its own."""

    def __init__(self, number: int) -> None:
        import asyncio  # noqa: PLC0415 - only for services with async hooks

        self._runner = asyncio.Runner()
        self.loop = self._runner.get_loop()
        self._is_closing = False
        self._thread = threading.Thread(target=self._main, name=f"singleton-service-loop-{number}", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        while not self._is_closing:
            try:
                self.loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                # A hook raised it. Its task has it and hands it to the caller; the loop goes on.
                continue
        self._runner.close()

    def close(self, timeout_s: float) -> None:
        self._is_closing = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout_s)


_loops: list[_BackgroundLoop] = []
_inherited: list[_BackgroundLoop] = []


def _leave_loops_to_the_parent() -> None:
    # Kept, not dropped: closing an inherited loop would unregister the parent's file descriptors
    # from the epoll instance that both processes share.
    _inherited.extend(_loops)
    _loops.clear()


after_fork.append(_leave_loops_to_the_parent)


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop running in this thread, or None. Does not import asyncio."""
    global _get_running_loop
    if _get_running_loop is None:
        events = sys.modules.get("asyncio.events")
        _get_running_loop = getattr(events, "_get_running_loop", None)
        if _get_running_loop is None:
            return None
    return _get_running_loop()


_get_running_loop: Callable[[], AbstractEventLoop | None] | None = None


def described(loop: AbstractEventLoop | None) -> str:
    """Name *loop* for a reader, so that one can be told from another."""
    if loop is None:
        return "no event loop"
    if any(background.loop is loop for background in _loops):
        return "the container's own event loop, by a plain call,"
    state_now = "closed" if loop.is_closed() else "running" if loop.is_running() else "not running"
    return f"event loop {id(loop):#x} ({state_now})"


def is_usable(loop: AbstractEventLoop | None) -> bool:
    """Tell whether a coroutine sent to *loop* now would run. Under the lock for a firm answer."""
    return loop is not None and loop.is_running() and loop not in state.blocked


def background_loop_for(operation: Operation) -> AbstractEventLoop:
    """Give *operation* an event loop of the container that can go on while the caller waits.

    There is one as a rule. A second one starts only when a hook on the first makes a plain call
    that needs an async hook itself.
    """
    here = running_loop()
    with lock:
        for background in _loops:
            if background.loop is not here and background.loop not in state.blocked:
                break
        else:
            background = _BackgroundLoop(len(_loops))
            _loops.append(background)
        operation.loop = background.loop
        return background.loop


def close_background_loops(timeout_s: float) -> None:
    """End the background loops if no started service and no hook uses them any more."""
    here = running_loop()
    with lock:
        if state.started or state.running or any(background.loop is here for background in _loops):
            return
        loops, _loops[:] = _loops[:], []
    for background in loops:
        background.close(timeout_s)


def run_on(loop: AbstractEventLoop, awaitable: Awaitable[T], timeout_s: float | None = None) -> T:
    """Await *awaitable* on *loop*, which runs in another thread, and return its result.

    If that loop ends before it comes to it, *awaitable* is awaited on a fresh one.

    Raises:
        TimeoutError: It took longer than *timeout_s*; its task is told to cancel.
    """
    errand = _Errand(loop, awaitable)
    began = time.monotonic()
    try:
        while not errand.finished.wait(LOOK_EVERY_S):
            if timeout_s is None:
                continue  # one of our own loops, which run until nobody needs them
            if errand.is_stranded():
                break
            if time.monotonic() - began > timeout_s:
                raise TimeoutError(f"took longer than {timeout_s:g} s")
    finally:
        errand.end()
    if not errand.is_entered and timeout_s is not None:
        # The loop ended before it came to it: it never ran it, or cancelled it at once with the rest.
        return run_bounded(lambda: run_fresh_for(awaitable, timeout_s), timeout_s)
    return errand.result()  # type: ignore[no-any-return]  # what *awaitable* gave


class _Errand:
    """Something to be awaited on a loop in another thread; ours to take back until it begins."""

    def __init__(self, loop: AbstractEventLoop, awaitable: Awaitable[Any]) -> None:
        self.finished = threading.Event()
        self.is_entered = False
        self._loop = loop
        self._awaitable = awaitable
        self._context = copy_context()
        self._begun = threading.Lock()  # taken once: by the loop to begin, or by us to take it back
        self._task: Task[Any] | None = None
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        with suppress(RuntimeError):  # closed already; it will be taken back
            loop.call_soon_threadsafe(self._begin)

    def is_stranded(self) -> bool:
        """Tell whether the loop will not get on with this; if so it never begins it any more, either."""
        if self._loop.is_running():
            return False
        return self._begun.acquire(blocking=False) or (self._loop.is_closed() and not self.finished.is_set())

    def end(self) -> None:
        """Cancel what still runs; nothing if it is finished."""
        if self.finished.is_set():
            return
        if self._begun.acquire(blocking=False):
            # It never begins: closed here, it does not complain that nobody awaited it.
            getattr(self._awaitable, "close", lambda: None)()
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            self._bury()

    def _bury(self) -> None:
        """Let go of a task whose loop was closed under it, without its last complaints."""
        if self._task is not None and self._coroutine is not None:
            self._task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio does itself
            self._coroutine.close()

    def result(self) -> Any:
        from asyncio import CancelledError  # noqa: PLC0415 - there is a loop, so it is loaded

        if self._task is None or not self._task.done():
            raise RuntimeError("the event loop was closed while the hook ran on it")
        try:
            return self._task.result()
        except CancelledError as error:
            # To the caller, who is in no task, this is a hook that failed.
            raise RuntimeError("the hook's task was cancelled") from error

    def _begin(self) -> None:
        if self._begun.acquire(blocking=False):
            self._coroutine = self._enter()
            self._task = self._loop.create_task(self._coroutine, context=self._context)
            self._task.add_done_callback(lambda _task: self.finished.set())

    async def _enter(self) -> Any:
        self.is_entered = True
        return await self._awaitable

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class _Outcome:
    """What a function returned or raised, to be handed from one thread to another."""

    __slots__ = ("_error", "_value")

    def __init__(self, function: Callable[[], Any]) -> None:
        self._value: Any = None
        self._error: BaseException | None = None
        try:
            self._value = function()
        except BaseException as error:  # raised again in the other thread
            self._error = error

    def unwrap(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


async def in_thread(function: Callable[[], T], *, outlives_cancellation: bool = False) -> T:
    """Run *function* in a thread of its own, in this context, and return its result.

    Not the loop's default executor: that one is bounded, and may be full of threads that wait for
    exactly this.

    Args:
        function: What to run.
        outlives_cancellation: On cancellation leave the thread to itself, instead of waiting for it.
    """
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    loop = asyncio.get_running_loop()
    context = copy_context()
    done: Future[_Outcome] = loop.create_future()

    def deliver(outcome: _Outcome) -> None:
        if not done.done():
            done.set_result(outcome)

    def main() -> None:
        outcome = _Outcome(lambda: context.run(function))
        with suppress(RuntimeError):  # the loop was closed meanwhile; nobody waits any more
            loop.call_soon_threadsafe(deliver, outcome)

    threading.Thread(target=main, name="singleton-service-hook", daemon=True).start()
    was_cancelled: BaseException | None = None
    while not done.done():
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError as error:
            if outlives_cancellation:
                raise
            was_cancelled = error
    if was_cancelled is not None:
        raise was_cancelled
    return done.result().unwrap()  # type: ignore[no-any-return]  # what *function* returned


class BoundedThread:
    """A helper thread for functions that may hang: then it is left to itself, and the next one gets another."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Callable[[], None] | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._leave()

    def _leave(self) -> None:
        """Let the thread end after what it is at."""
        if self._inbox is not None:
            self._inbox.put(None)
            self._inbox = None

    def run(self, function: Callable[[], T], timeout_s: float) -> T:
        """Run *function* in the thread, in this context, for at most *timeout_s*.

        Raises:
            TimeoutError: It is still running.
        """
        context = copy_context()
        running = threading.Lock()
        running.acquire()
        outcomes: list[_Outcome] = []

        def main() -> None:
            outcomes.append(_Outcome(lambda: context.run(function)))
            running.release()

        self._submit(main)
        if not running.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX)):
            self._leave()
            raise TimeoutError(f"took longer than {timeout_s:g} s")
        return outcomes[0].unwrap()  # type: ignore[no-any-return]  # what *function* returned

    def _submit(self, work: Callable[[], None]) -> None:
        if self._inbox is None:
            inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
            thread = threading.Thread(target=_serve, args=(inbox,), name="singleton-service-shutdown", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                work()  # no new threads while the interpreter ends: here, then, and unbounded
                return
            self._inbox = inbox
        self._inbox.put(work)


def _serve(inbox: SimpleQueue[Callable[[], None] | None]) -> None:
    while (work := inbox.get()) is not None:
        work()


def run_bounded(function: Callable[[], T], timeout_s: float) -> T:
    """Run *function* in a helper thread of its own, in this context, for at most *timeout_s*.

    Raises:
        TimeoutError: It is still running; the thread is left to itself.
    """
    with BoundedThread() as helper:
        return helper.run(function, timeout_s)


def run_fresh_for(awaitable: Awaitable[T], timeout_s: float) -> T:
    """Await *awaitable* on a new event loop in this thread, which has none running.

    Raises:
        TimeoutError: It took longer than *timeout_s*.
    """
    import asyncio  # noqa: PLC0415 - only for async hooks

    async def main() -> T:
        async with asyncio.timeout(timeout_s):
            return await awaitable

    return asyncio.run(main())
