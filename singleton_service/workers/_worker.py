"""AbstractWorker: what every worker is, wherever its hooks run."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from types import SimpleNamespace

from singleton_service._waiting import wait_in_loop

from ._joining import join_all
from .errors import WorkerEndingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, Self

    from ._life import Life

__all__ = ["AbstractWorker"]


class AbstractWorker(ABC):
    """Something with a main loop and a life story. Derive from `ThreadWorker` or `ProcessWorker`, not from this.

    A life runs through these hooks, each sync or async, all coroutines on one event loop:

    1. ``setup()``, then ``lifecycle("startup")``
    2. ``main()``, which asks ``is_running`` or ``should_stop`` and ends by returning
    3. if one of them raised, ``lifecycle("error", exception=...)``
    4. ``teardown()``, then ``lifecycle("shutdown")``: always, whatever was raised before

    A worker can be started again when it has ended. Thread-safe.

    Args:
        name: What it is called in logs; the name of its class if not given.
        daemon: Tell it to stop when the interpreter ends, and give it a few seconds for that. Otherwise the interpreter
            waits until it ends by itself.

    Attributes:
        name: See above.
        daemon: See above.
        context: A namespace for what setup opens and the other hooks use. Each life begins with what was in it before
            the first one. That of a `ProcessWorker` is in its process, and stays there.
        starts: How many times it was started.
    """

    name: str
    daemon: bool = True
    context: SimpleNamespace
    starts: int = 0

    _lock: threading.RLock
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _life: Life | None = None
    _on_end: Callable[[Life], None] | None = None
    _first_context: dict[str, Any] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments: a process makes its own worker of them."""
        worker = super().__new__(cls)
        worker.name = cls.__name__
        worker.context = SimpleNamespace()
        worker._arguments = (args, kwargs)
        worker._lock = threading.RLock()  # reentrant: a signal handler may stop what its thread is starting
        return worker

    def __init__(self, name: str | None = None, *, daemon: bool = True) -> None:
        if name is not None:
            self.name = name
        self.daemon = daemon

    def setup(self) -> Awaitable[None] | None:
        """Open what main needs."""
        return None

    @abstractmethod
    def main(self) -> Awaitable[None] | None:
        """Do the work; return when there is no more, or soon after ``is_running`` turned false."""

    def teardown(self) -> Awaitable[None] | None:
        """Close what setup opened. Called also when setup failed half-way."""
        return None

    def lifecycle(self, event: str, **data: Any) -> Awaitable[None] | None:  # noqa: ARG002 - for those who override it
        """Hear of ``"startup"``, ``"error"`` (with ``exception=``) and ``"shutdown"``.

        What this raises is logged, and changes nothing else.
        """
        return None

    @property
    def is_running(self) -> bool:
        """Whether it was started, main has not ended, and nobody asked it to stop."""
        life = self._life
        return life is not None and life.is_running

    @property
    def is_alive(self) -> bool:
        """Whether it was started and its teardown has not ended; of a process, whether there is one."""
        life = self._life
        return life is not None and not life.ended.is_set()

    @property
    def has_failed(self) -> bool:
        """Whether its last life ended otherwise than by returning from main."""
        life = self._life
        return life is not None and life.ended.is_set() and life.failure is not None

    def should_stop(self, within: float = 0.0) -> bool:
        """Tell whether it was asked to stop, waiting for that up to *within* seconds: a sleep that ends early."""
        life = self._life
        return life is None or life.stop_asked.wait(within)

    async def should_stop_async(self, within: float = 0.0) -> bool:
        """Do what `should_stop` does without blocking the event loop."""
        life = self._life
        return life is None or await wait_in_loop(life.stop_asked, within)

    def start(self) -> None:
        """Begin a life; nothing if it runs already.

        Raises:
            WorkerEndingError: Its last life has not quite ended.
            WorkerArgumentError: A process cannot be given what it is made of. Nothing was started.
        """
        with self._lock:
            if self.is_running:
                return
            if self.is_alive:
                raise WorkerEndingError(self.name)
            life, before = self._new_life(), self._life
            if self._first_context is None:
                self._first_context = dict(vars(self.context))
            self.context = SimpleNamespace(**self._first_context)
            self._life = life  # before it begins: its hooks ask it
            self.starts += 1
            try:
                life.begin()
            except BaseException:
                self._life = before
                self.starts -= 1
                raise

    def stop(self) -> None:
        """Ask main to end; return at once. From any thread or signal handler, and harmless when repeated."""
        with self._lock:
            if self._life is not None:
                self._life.ask_to_stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended.

        A worker that is still alive after *timeout* seconds, told to stop or not, is ended where that is possible, and
        has 2 s for its teardown: a coroutine is cancelled; the main of a `ProcessWorker` is broken off, whatever it is,
        and after those 2 s its process is killed. A plain main in a thread goes on.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Returns:
            Whether it ended by itself, in time.

        Raises:
            RuntimeError: Called by its own main.
        """
        return join_all([self], timeout)

    def __repr__(self) -> str:
        state = "running" if self.is_running else "ending" if self.is_alive else "failed" if self.has_failed else "idle"
        return f"<{type(self).__name__} {self.name!r} {state}>"

    @abstractmethod
    def _new_life(self) -> Life: ...

    def _leave_to_the_parent(self) -> None:
        """Forget, in a forked child, that it runs: it does so in the parent only."""
        self._lock = threading.RLock()
        life, self._life = self._life, None
        if life is not None:
            life.leave_to_the_parent()
