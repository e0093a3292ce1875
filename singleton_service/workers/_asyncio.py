"""Coroutines from plain code: one event loop per worker, uvloop where it is installed."""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module

from singleton_service._hooks import is_awaitable
from singleton_service._loops import running_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Runner, Task
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["HookLoop", "new_loop", "run_async_safely", "set_uvloop_if_available"]

_here = threading.local()  # .loop: the HookLoop of the worker whose hooks run in this thread
_running: set[Task[Any]] = set()  # a loop holds its tasks only weakly


class HookLoop:
    """The event loop of one worker's life: made for its first coroutine, the same for all of them."""

    def __init__(self) -> None:
        self._runner: Runner | None = None
        self._task: Task[Any] | None = None

    def open(self) -> None:
        """Take this thread."""
        _here.loop = self

    def close(self) -> None:
        """Leave this thread; cancel what still runs on the loop."""
        del _here.loop
        if self._runner is not None:
            self._runner.close()

    def run(self, awaitable: Awaitable[T]) -> T:
        """Await *awaitable* on this loop and return its result."""
        if self._runner is None:
            self._runner = _new_runner()
        try:
            return self._runner.run(self._follow(awaitable))
        finally:
            task, self._task = self._task, None
            if task is not None and not task.done():
                self._break_off(task)

    def cancel(self) -> bool:
        """Cancel the coroutine that is awaited now, from any thread; tell whether there is one."""
        task = self._task
        if task is None:
            return False
        with suppress(RuntimeError):  # it has ended just now, and the loop with it
            task.get_loop().call_soon_threadsafe(task.cancel)
        return True

    async def _follow(self, awaitable: Awaitable[T]) -> T:
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        self._task = asyncio.current_task()
        return await awaitable

    def _break_off(self, task: Task[Any]) -> None:
        """Let a coroutine end before what comes next: a signal handler has raised while its loop was idle."""
        import asyncio  # noqa: PLC0415 - there is a loop, so it is loaded

        task.cancel()
        task.get_loop().run_until_complete(asyncio.wait([task]))

    def run_if_awaitable(self, returned: object) -> object:
        """Await what a hook returned if it is a coroutine or the like."""
        return self.run(returned) if is_awaitable(returned) else returned  # type: ignore[arg-type]  # just looked


def run_async_safely(coro: Coroutine[Any, Any, T]) -> T | Task[T]:
    """Run *coro* from wherever this is called.

    Without a running event loop in this thread: run it to its end and return its result, in a plain hook of a worker
    on that worker's own loop. In a running loop: return an `asyncio.Task` to be awaited; it runs on if it is not.

    Raises:
        Exception: Whatever *coro* raises, when it is run to its end here.
    """
    loop = running_loop()
    if loop is not None:
        task = loop.create_task(coro)
        _running.add(task)
        task.add_done_callback(_running.discard)
        return task
    own: HookLoop | None = getattr(_here, "loop", None)
    if own is not None:
        return own.run(coro)
    with _new_runner() as runner:
        return runner.run(coro)


def set_uvloop_if_available() -> bool:
    """Let every event loop that asyncio makes from now on be one of uvloop, if that is installed; tell whether it is.

    Workers need no such call: their loops are uvloop's wherever it is installed.
    """
    import asyncio  # noqa: PLC0415 - only for those who want it

    uvloop = _find_uvloop()
    if uvloop is None:
        return False
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return True


def new_loop() -> AbstractEventLoop:
    """Return a new event loop, of uvloop where that is installed."""
    import asyncio  # noqa: PLC0415 - only for workers with coroutines

    uvloop = _find_uvloop()
    make: Callable[[], AbstractEventLoop] = asyncio.new_event_loop if uvloop is None else uvloop.new_event_loop
    return make()


def _new_runner() -> Runner:
    import asyncio  # noqa: PLC0415 - only for workers with coroutines

    # Without a factory the runner makes its loop the current one of its thread, for who asks outside of coroutines.
    return asyncio.Runner(loop_factory=None if _find_uvloop() is None else new_loop)


def _find_uvloop() -> Any:
    try:
        return import_module("uvloop")
    except ImportError:
        return None
