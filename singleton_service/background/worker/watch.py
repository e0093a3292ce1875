"""A watch: a dispatcher's sleep in a pool thread, so that the one who is woken with a task is the one who runs it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .job import Job

T = TypeVar("T")


class Watch(Generic[T]):
    """Kept once, by a pool thread, while the dispatcher waits: of the two only one acts for the dispatcher at a time.

    Attributes:
        job: the first that was submitted meanwhile. Whoever keeps watch is awake, and runs it itself.
    """

    def __init__(self, sleep: Callable[[], T]) -> None:
        self.job: Job | None = None
        self._sleep = sleep
        self._error: BaseException | None = None
        self._is_over = threading.Lock()
        self._is_over.acquire()

    def keep(self) -> Job | None:
        """Sleep, let the dispatcher go on, and return what is to be run here. Never raises."""
        try:
            self._woken_with = self._sleep()
        except BaseException as error:
            self._error = error
        self._is_over.release()
        return self.job

    def wait(self) -> T:
        """Wait until it is over, and return or raise what the sleep did."""
        self._is_over.acquire()
        if self._error is not None:
            raise self._error
        return self._woken_with
