"""What resources of threads and of the loop have in common: the one that is open here, and why none is."""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from .registering import check_call, name_of, note_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("singleton_service.worker")

T = TypeVar("T")

_AGAIN_S = 1.0


class Resource(Generic[T]):
    """One of a thing for each place where handlers run."""

    _is_async: ClassVar[bool]
    _who_has_one: ClassVar[str]

    def __init__(self, open_one: Callable[[], Any]) -> None:
        """See that it can be used."""
        check_context_manager(open_one, is_async=self._is_async)
        note_module()
        self._open = open_one
        self._name = name_of(open_one)
        # Why the last opening failed, and from when on the next may be tried.
        self._failed: tuple[str, float] | None = None

    def get(self) -> T:
        """Return the one that is open here, in the calling thread.

        Raises:
            LookupError: there is none.
        """
        try:
            return here.values[self]  # type: ignore[no-any-return]  # what it opened
        except KeyError:
            raise LookupError(
                f"{self._name} is not open in thread {threading.current_thread().name!r}: {self._who_has_one}. "
                f"Elsewhere, as in a test, call them in `{'async ' if self._is_async else ''}with resource.opened():`"
            ) from None

    @contextmanager
    def _lent(self, value: T) -> Iterator[None]:
        """Have *value* be the one that is open here."""
        outer = here.values.get(self, self)
        here.values[self] = value
        try:
            yield
        finally:
            del here.values[self]
            if outer is not self:
                here.values[self] = outer

    def _known_trouble(self) -> str | None:
        """Return why it could not be opened a moment ago; None when it may be tried."""
        failed = self._failed
        return failed[0] if failed is not None and time.monotonic() < failed[1] else None

    def _went_wrong(self, error: BaseException) -> str:
        reason = f"{self._name} can't be opened: {type(error).__name__}: {error}"
        if self._failed is None:
            logger.error("resource %s. Tasks are held until it is", reason, exc_info=error)
        self._failed = reason, time.monotonic() + _AGAIN_S
        return reason

    def _went_well(self, value: T) -> None:
        here.values[self] = value
        if self._failed is not None:
            self._failed = None
            logger.info("resource %s is open: tasks go on", self._name)

    def _is_closed(self, error: BaseException | None) -> None:
        here.values.pop(self, None)
        if error is not None:
            logger.error("resource %s failed to close; the others are closed", self._name, exc_info=error)


class _Here(threading.local):
    """What is open in a thread, and how to close it, in the order of opening."""

    def __init__(self) -> None:
        self.values: dict[Resource[Any], Any] = {}
        self.managers: list[tuple[Any, Any]] = []


here = _Here()


def check_context_manager(make: Callable[[], object], *, is_async: bool = False) -> None:
    """See that calling *make* gives a context manager, an async one if so, as far as one can without calling it.

    Raises:
        TypeError: it can't be called without arguments, or gives something else.
    """
    check_call(make, ())
    inner = inspect.unwrap(make)
    name = name_of(make)
    a = "async" if is_async else ""
    if inspect.isgeneratorfunction(make) or inspect.isasyncgenfunction(make):
        raise TypeError(f"{name} is a bare generator: put @contextlib.{a}contextmanager above it")
    if inspect.iscoroutinefunction(inner) or (inspect.isasyncgenfunction(inner) and not is_async):
        wanted = "`async with`" if is_async else "`with`; for coroutines there is LoopResource"
        raise TypeError(f"{name} is async: it must be a plain function that gives a context manager for {wanted}")
    if inspect.isgeneratorfunction(inner) and is_async:
        raise TypeError(f"{name} gives a context manager for `with`, not for `async with`")
    if isinstance(make, type) and not hasattr(make, "__aexit__" if is_async else "__exit__"):
        wrapped = f"lambda: contextlib.{a[:1]}closing({make.__name__}())"
        raise TypeError(f"{name} makes no context managers for `{a}{' ' * is_async}with`: wrap it, as in `{wrapped}`")


def _leave_all_to_the_parent() -> None:
    # Not closed: it is the parent's connection, too.
    _inherited.append((here.values, here.managers))
    here.values, here.managers = {}, []


_inherited: list[object] = []
os.register_at_fork(after_in_child=_leave_all_to_the_parent)
