"""ProcessWorker: a worker in a process of its own, for work that computes."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress

from . import _endings
from ._life import Life
from ._story import logger
from ._words import DONE, LEAVE, STOP
from ._worker import AbstractWorker

__all__ = ["ProcessWorker"]


class ProcessWorker(AbstractWorker):
    """A worker whose hooks run in a process of their own: for work that computes, or may crash.

    The process is spawned, not forked: it imports the module of the class and makes the worker anew, of the arguments
    of the constructor, which travel by pickling. So the constructor runs in both processes and the hooks in the new one
    only; what they set stays there, and what is set on the worker here does not arrive there. Queues made for processes
    pass::

        processes = multiprocessing.get_context("spawn")


        class Hasher(ProcessWorker):
            def __init__(self, files: Queue[str]) -> None:
                super().__init__(name="hasher")
                self.files = files

            def main(self) -> None: ...


        if __name__ == "__main__":
            Hasher(processes.Queue()).start()

    TERM asks it to stop; INT, which Ctrl-C sends to a whole group, is left to its parent. If the parent dies, it is
    asked to stop, and ends within seconds.
    """

    @property
    def pid(self) -> int | None:
        """The id of its process; None while it has none."""
        life = self._life
        if isinstance(life, _ChildLife) and not life.ended.is_set():
            return life.pid
        return None

    def _new_life(self) -> Life:
        return _ChildLife(self)


class _ChildLife(Life):
    """A life in another process, seen from here: a thread listens to it until it is over."""

    pid: int

    def begin(self) -> None:
        from . import _spawning  # noqa: PLC0415 - multiprocessing is loaded when there is a process to start

        self._lock = threading.RLock()  # reentrant: a signal handler may stop while its thread stops
        self._is_done = False
        self._is_interrupted = False
        self._process, self._line = _spawning.spawn(self.worker)
        self.pid = self._process.pid or 0
        _endings.remember(self.worker)
        self.thread = threading.Thread(target=self._listen, name=f"{self.worker.name} (listener)", daemon=True)
        try:
            self.thread.start()
        except BaseException:
            _endings.forget(self.worker)
            self._process.kill()
            raise

    def ask_to_stop(self) -> None:
        if not self.is_told_to_stop:
            super().ask_to_stop()
            self._say(STOP)

    def interrupt(self) -> bool:
        self.ask_to_stop()
        with self._lock:
            if not self._is_interrupted:  # twice would break its teardown off
                self._is_interrupted = True
                self._say(LEAVE)
        return True

    def kill(self) -> None:
        self.ask_to_stop()
        with self._lock:
            if not self.ended.is_set():
                logger.warning("worker %r has not ended: killing it", self.worker.name)
                self._process.kill()

    def leave_to_the_parent(self) -> None:
        from ._spawning import disown  # noqa: PLC0415 - see above

        self._line.close()  # or the process would not notice when its parent dies
        disown(self._process)

    def _say(self, word: bytes) -> None:
        with self._lock, suppress(OSError):  # it is dead, and nobody has noticed yet
            if not self._line.closed:
                self._line.send_bytes(word)

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                word = self._line.recv_bytes()
                self.main_is_over = True
                self._is_done = word == DONE
        # Nobody but the process holds the other end of the line: it is dead, or about to be.
        self._process.join()
        if not self._is_done:
            self.failure = _described(self._process.exitcode)
        with self._lock:
            self._line.close()
            with suppress(ValueError):  # somebody else in this program waits for all children, and took its status
                self._process.close()
            self.finish()


def _described(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return f"its process was killed by {signal.Signals(-exit_code).name}"
    return f"its process ended with exit code {exit_code}"
