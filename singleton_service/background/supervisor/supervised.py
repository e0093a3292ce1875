"""A process that has a supervisor, from the inside."""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import socket
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from singleton_service._signals import leave_signals_to_the_main_thread
from singleton_service.background.task_queue.worker_ids import LISTENERS
from singleton_service.background.worker import WorkerService

from .words import News, Order, Reader, stopping, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

logger = logging.getLogger("singleton_service.supervisor")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_S = 0.25
_BEGIN_WITHIN_S = 5.0
_CHUNK_BYTES = 4096


class Supervised:
    """The line to the parent. Made on the main thread, as early as can be."""

    def __init__(self, line: int) -> None:
        """Let signals in, which the parent had blocked, and have it told each name under which tasks are taken.

        Args:
            line: the descriptor that the parent has given.
        """
        os.set_inheritable(line, False)
        self._socket = socket.socket(fileno=line)
        self._orders: deque[tuple[Order, str]] = deque()
        self._is_draining = False
        self._said: dict[News, Any] = {}
        # Until it is known what to end, TERM just ends the process. Ctrl-C is for the parent to act upon. Not SIG_IGN:
        # programs started here would inherit that.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        LISTENERS.append(lambda worker_id: self._say(News.WORKER, worker_id))
        os.register_at_fork(after_in_child=self._socket.close)

    @contextmanager
    def hearing(
        self, on_call: Callable[[str, float | None], object], *, patience_s: float | None = None, shown: Any = None
    ) -> Iterator[None]:
        """Say that the user's code is imported, and from now on call *on_call*, on the main thread, when it is to end.

        It is called with why, and how many seconds there are for what runs.

        Of signals the first counts, and no other: whoever sends one to the whole group sends it to the parent, too, who
        knows what the second one means. When the parent is dead, that is an order to end as well.

        Args:
            on_call: may come again, with less time.
            patience_s: the time for a stop; None for what the setting says.
            shown: what there is to show of the user's code, as JSON.
        """

        def on_signal(number: int, _frame: FrameType | None) -> None:
            if not self._orders and not self._is_draining:
                self._is_draining = True
                on_call(f"signal {number}", patience_s)
            while self._orders:
                order, why = self._orders.popleft()
                if order is Order.RETIRE:
                    on_call(why, math.inf)
                elif order is Order.LEAVE:
                    on_call(why, 0.0)
                elif not self._is_draining:
                    self._is_draining = True
                    on_call(why, patience_s)

        for number in stopping():
            signal.signal(number, on_signal)
        self._say(News.LOADED, shown)
        # What the parent shows of it stands above what it logs.
        select.select([self._socket], [], [], _BEGIN_WITHIN_S)
        threading.Thread(target=self._listen, name="supervisor (listener)", daemon=True).start()
        # What came before is put back by nobody: the process is about to end.
        yield

    def _listen(self) -> None:
        leave_signals_to_the_main_thread()
        reader = Reader()
        while True:
            if not select.select([self._socket], [], [], _LOOK_S)[0]:
                self._report()
                continue
            try:
                data = self._socket.recv(_CHUNK_BYTES)
            except OSError:
                data = b""
            if not data:
                logger.warning("the supervisor is gone: taking no more tasks, ending when those that run have ended")
                self._obey(Order.DRAIN, "the supervisor's end")
                return
            for word, _ in reader.read(data):
                if word != Order.BEGIN:
                    self._obey(Order(word), f"the order to {word}")

    def _obey(self, order: Order, why: str) -> None:
        self._orders.append((order, why))
        # Where signals are handled whatever that thread waits for; and nothing else may interrupt it.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _report(self) -> None:
        counts = WorkerService._counters.read()
        crew = WorkerService._crew
        news = {
            News.SERVES: crew is not None and crew.is_serving,
            News.TASKS: counts["tasks_processed"] + counts["tasks_failed"],
        }
        for word, value in news.items():
            if self._said.get(word) != value:
                self._said[word] = value
                self._say(word, value)

    def _say(self, word: News, value: Any) -> None:
        with suppress(OSError):  # the parent is gone, which the listener deals with
            self._socket.sendall(written(word, value))
