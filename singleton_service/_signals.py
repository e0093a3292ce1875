"""INT and TERM for a process whose main thread waits for something to end; put back as they were afterwards."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

logger = logging.getLogger("singleton_service.signals")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_on_signals(on_signal: Callable[[int], None]) -> Iterator[None]:
    """Call *on_signal* with the number of each INT or TERM that comes, instead of what was set before.

    Off the main thread Python allows no handlers: then nothing is installed and a line in the log says so.
    """
    if threading.current_thread() is not threading.main_thread():
        logger.info("not on the main thread: signals stay as they are, stop it by its method")
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        on_signal(number)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: set by something outside Python, which can't be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def leave_signals_to_the_main_thread() -> None:
    """Have the calling thread get no INT and no TERM.

    A second signal that comes close upon the first is given to whatever other thread there is. Python would call its
    handler once the main thread comes round, and that may be asleep for a minute.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
