"""What each worker thread, and the event loop, has for itself: opened before its first task, closed at its end."""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .registering import check_call, note_module, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

logger = logging.getLogger("singleton_service.worker")

T = TypeVar("T")

# To close what a thread had for itself may take its time; a connection cut off is the other side's trouble.
CLOSING_S = 10.0
_AGAIN_S = 1.0

RESOURCES: list[WorkerResource[Any]] = []


class WorkerResource(Generic[T]):
    """One of a thing for each worker thread, such as a database connection, and one for the event loop.

    It is opened in a thread before the first task there, and closed when the thread ends, in the reverse order of
    opening. When opening fails, tasks are held, uncounted, with the reason, and it is tried again.
    """

    def __init__(self, open_one: Callable[[], AbstractContextManager[T]]) -> None:
        """Have every worker thread of this process open one.

        Args:
            open_one: makes a context manager that opens and closes one, such as a function with
                `@contextlib.contextmanager`. It may `get()` resources that were made before this one.

        Raises:
            TypeError: what it makes is no context manager, as far as that can be seen now.
        """
        check_context_manager(open_one)
        note_module()
        self._open = open_one
        self._name = place_of(open_one)
        self._trying = threading.Lock()
        # Why the last opening failed, and from when on the next may be tried.
        self._failed: tuple[str, float] | None = None
        RESOURCES.append(self)

    def get(self) -> T:
        """Return the one of the calling thread.

        Raises:
            LookupError: none is open here: it is no worker's thread, or another one than the handler's.
        """
        try:
            return _here.values[self]  # type: ignore[no-any-return]  # what *open_one* gave
        except KeyError:
            raise LookupError(
                f"{self._name} is not open in thread {threading.current_thread().name!r}: a worker opens it for the "
                "handlers in its threads; elsewhere, as in a test, call them in `with resource.opened():`"
            ) from None

    @contextmanager
    def opened(self) -> Iterator[T]:
        """Have one in the calling thread while the block lasts: for tests of handlers, and loops of one's own."""
        with self._open() as value:
            outer = _here.values.get(self, self)
            _here.values[self] = value
            try:
                yield value
            finally:
                del _here.values[self]
                if outer is not self:
                    _here.values[self] = outer

    def _trouble(self) -> str | None:
        """Open it here, or return why that can't be."""
        failed = self._failed
        if failed is None:
            return self._try()
        # While somebody tries, which may take its time, the others do not wait for the same.
        if time.monotonic() < failed[1] or not self._trying.acquire(blocking=False):
            return failed[0]
        try:
            return self._try()
        finally:
            self._trying.release()

    def _try(self) -> str | None:
        try:
            manager = self._open()
            value = manager.__enter__()
        except BaseException as error:
            # SystemExit and the like, too, as from a handler.
            reason = f"{self._name} can't be opened: {type(error).__name__}: {error}"
            if self._failed is None:
                logger.exception("resource %s. Tasks are held until it is", reason)
            self._failed = reason, time.monotonic() + _AGAIN_S
            return reason
        _here.values[self] = value
        _here.open.append((self, manager))
        if self._failed is not None:
            self._failed = None
            logger.info("resource %s is open: tasks go on", self._name)
        return None


def trouble() -> str | None:
    """Open in the calling thread what is not open there; return why that failed, None when all is there."""
    if len(_here.values) == len(RESOURCES):
        return None
    for resource in tuple(RESOURCES):
        if resource not in _here.values and (reason := resource._trouble()) is not None:
            return reason
    return None


def has_open() -> bool:
    """Whether the calling thread has something to close."""
    return bool(_here.open)


def close_here() -> None:
    """Close what is open in the calling thread, the latest first. Never raises."""
    while _here.open:
        resource, manager = _here.open.pop()
        try:
            manager.__exit__(None, None, None)
        except BaseException:
            logger.exception("resource %s failed to close; the others are closed", resource._name)
        finally:
            del _here.values[resource]


def check_context_manager(make: Callable[[], object]) -> None:
    """See that calling *make* gives a context manager, as far as one can without calling it.

    Raises:
        TypeError: it can't be called without arguments, or gives something else.
    """
    check_call(make, ())
    inner = inspect.unwrap(make)
    name = place_of(make)
    if inspect.isasyncgenfunction(inner) or inspect.iscoroutinefunction(inner):
        raise TypeError(f"{name} is async: it must be a plain function that gives a context manager for `with`")
    if inspect.isgeneratorfunction(make):
        raise TypeError(f"{name} is a bare generator: put @contextlib.contextmanager above it")
    if isinstance(make, type) and not hasattr(make, "__exit__"):
        raise TypeError(f"{name} makes no context managers: wrap it, as in `lambda: contextlib.closing({name}())`")


class _Here(threading.local):
    """What is open in a thread."""

    def __init__(self) -> None:
        self.values: dict[WorkerResource[Any], Any] = {}
        self.open: list[tuple[WorkerResource[Any], AbstractContextManager[Any]]] = []


_here = _Here()


def _leave_all_to_the_parent() -> None:
    # Not closed: it is the parent's connection, too.
    _inherited.append((_here.values, _here.open))
    _here.values, _here.open = {}, []


_inherited: list[object] = []
os.register_at_fork(after_in_child=_leave_all_to_the_parent)
