"""BaseRunnable: a service with a main loop."""

from __future__ import annotations

import functools
import threading
from contextvars import ContextVar

from ._guarded import guarded
from ._hooks import is_async
from ._loops import in_thread
from ._service import BaseService
from ._waiting import wait_in_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

__all__ = ["BaseRunnable"]

LAST_ROUND_S = 10.0
"""How long ``shutdown`` waits for the loop to notice that it should end."""

_inside: ContextVar[_Run | None] = ContextVar("singleton_service_run", default=None)


class _Run:
    """The main loop of one class: whether it runs, and whether it should stop."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.idle = threading.Event()
        self.idle.set()

    def __enter__(self) -> None:
        self._token = _inside.set(self)
        self.idle.clear()

    def __exit__(self, *_exc: object) -> None:
        _inside.reset(self._token)
        self.stop.clear()  # at the end, not the beginning: a stop() that came early must not be lost
        self.idle.set()


class BaseRunnable(BaseService):
    """A service that has a main loop.

    Override `run_sync` or `run_async`, and ask `should_stop` in it::

        @requires(TaskQueueService)
        class Reporter(BaseRunnable):
            @classmethod
            def run_sync(cls) -> None:
                while not cls.should_stop(within=1.0):
                    cls.report()


        Reporter.run_sync()

    Both are guarded without saying so: what the service requires is started first. Whichever of
    the two is not overridden runs the other one.
    """

    _only_a_base: ClassVar[bool] = True

    _run: ClassVar[_Run] = _Run()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Guard the main loop, and give the class a stop signal of its own."""
        for name in ("run_sync", "run_async"):
            own = vars(cls).get(name)
            if isinstance(own, classmethod):
                setattr(cls, name, classmethod(guarded(_marked(own.__func__))))
        super().__init_subclass__(**kwargs)
        cls._run = _Run()

    @classmethod
    def run_sync(cls) -> None:
        """Run until the work is done or `stop` is called. Not twice at once.

        Raises:
            NotImplementedError: Neither run method is overridden.
        """
        import asyncio  # noqa: PLC0415 - only for async main loops

        cls._check_overridden("run_async")
        asyncio.run(cls.run_async())

    @classmethod
    async def run_async(cls) -> None:
        """Run until the work is done or `stop` is called. Not twice at once.

        Raises:
            NotImplementedError: Neither run method is overridden.
        """
        cls._check_overridden("run_sync")
        await in_thread(cls.run_sync, outlives_cancellation=True)

    @classmethod
    def stop(cls) -> None:
        """Ask the main loop to end; return at once. Any thread, and harmless when repeated.

        Called before the loop begins, it ends that loop in its first round.
        """
        cls._run.stop.set()

    @classmethod
    def should_stop(cls, within: float = 0.0) -> bool:
        """Tell whether `stop` was called, waiting for that up to *within* seconds."""
        return cls._run.stop.wait(within)

    @classmethod
    async def should_stop_async(cls, within: float = 0.0) -> bool:
        """Do what `should_stop` does without blocking the event loop."""
        return await wait_in_loop(cls._run.stop, within)

    @classmethod
    def shutdown(cls) -> None:
        """End the main loop, and wait a while until it has, before what it needs is stopped."""
        run = cls._run
        if run.idle.is_set():
            return
        run.stop.set()
        if _inside.get() is not run:  # a loop that stops the container itself cannot be waited for
            run.idle.wait(LAST_ROUND_S)

    @classmethod
    def _check_overridden(cls, name: str) -> None:
        if getattr(getattr(cls, name), "__func__", None) is vars(BaseRunnable)[name].__func__:
            raise NotImplementedError(f"{cls.__name__} must override run_sync() or run_async()")


def _marked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let *function* run as the main loop of its class."""
    if is_async(function):

        @functools.wraps(function)
        async def run_async(cls: type[BaseRunnable], *args: Any, **kwargs: Any) -> Any:
            with cls._run:
                return await function(cls, *args, **kwargs)

        return run_async

    @functools.wraps(function)
    def run_sync(cls: type[BaseRunnable], *args: Any, **kwargs: Any) -> Any:
        with cls._run:
            return function(cls, *args, **kwargs)

    return run_sync
