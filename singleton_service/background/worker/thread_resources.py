"""What each worker thread has for itself: opened before its first task, closed at its end."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .resource import Resource, here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

T = TypeVar("T")

# To close what a thread had for itself may take its time; a connection cut off is the other side's trouble.
CLOSING_S = 10.0

RESOURCES: list[WorkerResource[Any]] = []


class WorkerResource(Resource[T]):
    """One of a thing for each worker thread, such as a database connection.

    It is opened in a thread before the first task there, and closed when the thread ends, in the reverse order of
    opening. When opening fails, tasks are held, uncounted, with the reason, and it is tried again. Coroutines, which
    share their thread, have `LoopResource`.
    """

    _is_async: ClassVar[bool] = False
    _who_has_one: ClassVar[str] = "a worker opens it in its threads, for plain handlers"

    def __init__(self, open_one: Callable[[], AbstractContextManager[T]]) -> None:
        """Have every worker thread of this process open one.

        Args:
            open_one: makes a context manager that opens and closes one, such as a function with
                `@contextlib.contextmanager`. It may `get()` resources that were made before this one.

        Raises:
            TypeError: what it makes is no context manager, as far as that can be seen now.
        """
        super().__init__(open_one)
        self._trying = threading.Lock()
        RESOURCES.append(self)

    @contextmanager
    def opened(self) -> Iterator[T]:
        """Have one in the calling thread while the block lasts: for tests of handlers, and loops of one's own."""
        with self._open() as value, self._lent(value):
            yield value

    def _trouble(self) -> str | None:
        """Open it here, or return why that can't be."""
        if self._failed is None:
            return self._try()
        # While somebody tries, which may take its time, the others do not wait for the same.
        known = self._known_trouble()
        if known is not None or not self._trying.acquire(blocking=False):
            return known or self._failed[0]
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
            return self._went_wrong(error)
        here.managers.append((self, manager))
        self._went_well(value)
        return None


def trouble() -> str | None:
    """Open in the calling thread what is not open there; return why that failed, None when all is there."""
    if len(here.values) == len(RESOURCES):
        return None
    for resource in tuple(RESOURCES):
        if resource not in here.values and (reason := resource._trouble()) is not None:
            return reason
    return None


def has_open() -> bool:
    """Whether the calling thread has something to close."""
    return bool(here.managers)


def close_here() -> None:
    """Close what is open in the calling thread, the latest first. Never raises."""
    while here.managers:
        resource, manager = here.managers.pop()
        failed: BaseException | None = None
        try:
            manager.__exit__(None, None, None)
        except BaseException as error:
            failed = error
        resource._is_closed(failed)
