"""Server: starts several workers, keeps them alive, and ends them together."""

from __future__ import annotations

import math
import signal
import threading
import weakref
from queue import SimpleQueue

from singleton_service._operations import after_fork
from singleton_service._signals import stopping_on_signals

from . import _endings
from ._joining import join_all
from ._story import logger
from ._supervisor import Backoff, Supervisor
from ._worker import AbstractWorker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._life import Life

__all__ = ["Server"]

_servers: weakref.WeakSet[Server] = weakref.WeakSet()


class Server:
    """Several workers that are started, kept alive and ended together.

    ::

        server = Server("shop")
        server.add_worker(Fetcher(jobs))
        server.add_worker(Resizer(jobs))
        server.run_forever()

    A worker that dies (an exception out of setup or main, a process that is killed) is started again: the same worker,
    with the arguments it was made with, after a delay that doubles each time. One that returned from main, or was told
    to stop, is left alone. Thread-safe; can be started again after it was stopped.

    Args:
        name: What it is called in logs.
        first_restart_s: Seconds before the first restart of a worker.
        longest_restart_s: The longest delay; after a life at least that long the delays begin anew.

    Raises:
        ValueError: A delay is not positive, or the first is longer than the longest.
    """

    def __init__(self, name: str = "Server", *, first_restart_s: float = 0.5, longest_restart_s: float = 30.0) -> None:
        if not 0 < first_restart_s <= longest_restart_s < math.inf:
            raise ValueError(
                f"first_restart_s={first_restart_s!r} and longest_restart_s={longest_restart_s!r} must be positive "
                "numbers of seconds, the first not longer than the second"
            )
        self.name = name
        self._first_s = first_restart_s
        self._longest_s = longest_restart_s
        self._workers: list[AbstractWorker] = []
        self._lock = threading.RLock()  # reentrant: a signal handler may stop what its thread is starting
        self._supervisor: Supervisor | None = None
        self._former: Supervisor | None = None
        # To whom runs forever: a signal's number, or None when there is nothing to run for any more.
        # A SimpleQueue bears being put to by the very thread that waits at it, in a signal handler.
        self._calls: SimpleQueue[int | None] | None = None
        _servers.add(self)

    @property
    def workers(self) -> tuple[AbstractWorker, ...]:
        """Its workers, in the order in which they were added."""
        return tuple(self._workers)

    def add_worker(self, worker: AbstractWorker) -> None:
        """Add *worker*; start it at once if the server runs.

        Raises:
            TypeError: It is not a worker, or a class instead of one.
            ValueError: It belongs to a server already.
        """
        if not isinstance(worker, AbstractWorker):
            raise TypeError(f"{worker!r} is not a worker: make one of a class derived from ThreadWorker, ProcessWorker")
        with self._lock:
            if worker._on_end is not None:
                raise ValueError(f"{worker!r} belongs to a server already: make another one of its class")
            worker._on_end = self._hear_of
            self._workers.append(worker)
            if self._supervisor is not None:
                worker.start()

    def start(self) -> None:
        """Start all workers that do not run, and look after them from now on.

        Raises:
            WorkerEndingError: A worker is still ending: `join_all` first.
            WorkerArgumentError: A process cannot be given what its worker is made of.

        After an error the workers that were started before it are told to stop.
        """
        with self._lock:
            if self._supervisor is None:
                self._supervisor = Supervisor(
                    f"{self.name} (supervisor)",
                    lambda: Backoff(self._first_s, self._longest_s),
                    self._end_if_none_is_left,
                )
            try:
                for worker in self._workers:
                    worker.start()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Ask all workers to stop, and restart none; return at once. Harmless when repeated."""
        with self._lock:
            if self._supervisor is not None:
                self._supervisor.end()
                self._former, self._supervisor = self._supervisor, None
            for worker in self._workers:
                worker.stop()
            self._call(None)

    def join_all(self, timeout: float | None = 5.0) -> bool:
        """Wait until all workers have ended, *timeout* seconds in all.

        Those that are alive after that are ended where that is possible, as by their `join`, all at the same time.

        Returns:
            Whether all of them ended by themselves, in time.

        Raises:
            RuntimeError: Called by one of the workers.
        """
        are_ended = join_all(self._workers, timeout)
        if self._former is not None:
            self._former.join()  # it was told to end, and waits for nobody
        return are_ended

    def run_forever(self, timeout: float = 5.0) -> bool:
        """Start, and run until INT or TERM, until `stop` is called, or until no worker is left; then end all.

        Signal handlers are installed on the main thread only, and put back at the end. After a second signal this
        returns at once: processes are killed, threads left to themselves.

        Args:
            timeout: Seconds the workers have to end, all together.

        Returns:
            Whether all of them ended by themselves, in time.
        """
        self._calls = calls = SimpleQueue[int | None]()
        with stopping_on_signals(calls.put):
            try:
                self.start()
                self._end_if_none_is_left()
                number = calls.get()
                if number is not None:
                    logger.info("%s: %s received, stopping", self.name, signal.Signals(number).name)
            finally:
                self._calls = None
                self.stop()
            return self._join_until_called(calls, timeout)

    def _join_until_called(self, calls: SimpleQueue[int | None], timeout: float) -> bool:
        outcomes: list[bool] = []

        def join() -> None:
            outcomes.append(self.join_all(timeout))
            calls.put(None)

        threading.Thread(target=join, name=f"{self.name} (joining)", daemon=True).start()
        while (number := calls.get()) is None:
            if outcomes:
                return outcomes[0]
        logger.warning("%s: %s received again, leaving at once", self.name, signal.Signals(number).name)
        for worker in self._workers:
            with worker._lock:  # not amid its start
                if worker._life is not None:
                    worker._life.kill()
            _endings.forget(worker)
        return False

    def _hear_of(self, ended: Life) -> None:
        supervisor = self._supervisor
        if supervisor is not None:
            supervisor.hear_of(ended)

    def _end_if_none_is_left(self) -> None:
        with self._lock:  # not while they are being started
            supervisor = self._supervisor
            if supervisor is not None and all(supervisor.has_settled(worker) for worker in self._workers):
                self._call(None)

    def _call(self, number: int | None) -> None:
        calls = self._calls
        if calls is not None:
            calls.put(number)

    def _leave_to_the_parent(self) -> None:
        """Forget, in a forked child, that it runs: it does so in the parent only."""
        self._lock = threading.RLock()
        self._supervisor = self._former = self._calls = None


def _leave_servers_to_the_parent() -> None:
    for server in _servers:
        server._leave_to_the_parent()


after_fork.append(_leave_servers_to_the_parent)
