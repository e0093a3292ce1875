"""Throwing an interruption into a thread, but not where a lock of the standard library would stay taken for ever."""

from __future__ import annotations

import functools
import gc
import logging
import operator
import sys
import threading
from itertools import compress, repeat, starmap
from typing import TYPE_CHECKING

from singleton_service.background.task_queue.errors import TaskInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

# Functions in which a lock is taken, or given back, and no `try` watches over it. Logging's are needed by every other
# thread, for one.
_LOCKING = {
    logging.__file__: (
        *("acquire", "release", "handle", "flush", "close"),
        *("_acquireLock", "_releaseLock", "getLogger", "isEnabledFor"),
    ),
    threading.__file__: ("acquire", "release", "__enter__", "__exit__", "_acquire_restore", "_release_save"),
}
_LOCKING_PLACES = frozenset((file, name) for file, names in _LOCKING.items() for name in names)
_place_of = operator.attrgetter("f_code.co_filename", "f_code.co_name")


def throw_if_harmless(thread_id: int) -> bool:
    """Throw `TaskInterrupted` into that thread, unless it stands where this might leave a lock taken.

    Returns:
        Whether it was thrown; it was not if the thread has ended, either.
    """
    throw = functools.partial(_thrower(), thread_id, TaskInterrupted)
    # Frames are looked up under a lock of the interpreter's. What the collector calls there may give another thread its
    # turn, which then waits for that lock for ever (CPython issue 106883).
    collects = gc.isenabled()
    gc.disable()
    # The look and the throw are one call that stays in C: between two instructions of Python, that very thread might
    # get the interpreter, and go on to take a lock.
    frames = map(operator.methodcaller("get", thread_id), starmap(sys._current_frames, repeat((), 1)))
    is_harmless = map(operator.not_, map(_LOCKING_PLACES.__contains__, map(_place_of, frames)))
    try:
        return bool(list(starmap(throw, compress(repeat(()), is_harmless))))
    except AttributeError:  # no frame: it has ended
        return False
    finally:
        if collects:
            gc.enable()


class _NothingError(BaseException):
    """Thrown in the place of something else, and caught."""


def take_back(thread_id: int) -> None:
    """Take back what was thrown into that thread, which must be the one that calls, if it has not arrived.

    By something else in its place, which arrives here. After a NULL, CPython below 3.13 has all threads look for ever
    for what is not there, and one that is profiled or debugged then does nothing else.
    """
    try:
        while True:  # until it arrives, and not where nobody can catch it
            _thrower()(thread_id, _NothingError)
    except _NothingError:
        return


@functools.cache
def _thrower() -> Callable[..., int]:
    # PyThreadState_SetAsyncExc(thread, exception), of CPython's C API.
    import ctypes  # noqa: PLC0415 - only where something is interrupted

    prototype = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)
    return prototype(("PyThreadState_SetAsyncExc", ctypes.pythonapi))
