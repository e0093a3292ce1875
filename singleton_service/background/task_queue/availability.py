"""For services that live on the queue: what they say when its server is away, and how they start once it is there."""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, cast

from singleton_service import guarded as container_guarded
from singleton_service._operations import state
from singleton_service.exceptions import ServiceInitializationError

from .errors import QueueUnavailableError
from .outage import backoff_s

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from singleton_service import BaseService

logger = logging.getLogger("singleton_service.task_queue")

P = ParamSpec("P")
R = TypeVar("R")


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Start what is needed before the call, as the container's `@guarded` does.

    Raises:
        QueueUnavailableError: instead of ServiceInitializationError, when the reason is that the server is away.
    """
    gated = container_guarded(function)
    if inspect.iscoroutinefunction(function):
        return cast("Callable[P, R]", _awaiting(cast("Any", gated), function))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return gated(*args, **kwargs)
        except ServiceInitializationError as error:
            raise find_unavailable(error) or error from error.__cause__

    return call


def _awaiting(gated: Callable[..., Coroutine[Any, Any, Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await gated(*args, **kwargs)
        except ServiceInitializationError as error:
            raise find_unavailable(error) or error from error.__cause__

    return call


def find_unavailable(error: BaseException | None) -> QueueUnavailableError | None:
    """Return the QueueUnavailableError behind a failed start, if that is what it was."""
    while error is not None and not isinstance(error, QueueUnavailableError):
        error = error.__cause__
    return error


class LateStart:
    """Starts something now or, when the queue's server is away, as soon as it is there. Thread-safe.

    Args:
        what: one word for its log lines and its thread, such as "workers".
    """

    # One missing server is one warning, however many wait for it.
    _announcing: ClassVar[threading.Lock] = threading.Lock()
    _all: ClassVar[weakref.WeakSet[LateStart]] = weakref.WeakSet()

    def __init__(self, what: str) -> None:
        self._all.add(self)
        self._what = what
        self._lock = threading.Lock()
        # Shared by all attempts since the last cancel(): a late one must know that it is no longer wanted.
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._service: type[BaseService] | None = None

    def begin(self, service: type[BaseService], make_ready: Callable[[], object], go: Callable[[], object]) -> None:
        """Get ready and go. When the server is away, say so once and go on trying in a thread of its own.

        A `stop()` of the container that would stop *service*, were it up, cancels that.

        Args:
            service: whose start it is.
            make_ready: starts the services that are needed; raises QueueUnavailableError while the server is away.
            go: quick, harmless when repeated, and never called once `cancel` has returned.
        """
        with self._lock:
            cancelled = self._cancelled
            if self._is_waiting:
                return
        try:
            self._attempt(make_ready, go, cancelled)
        except QueueUnavailableError as error:
            with self._announcing, self._lock:
                if cancelled.is_set() or self._is_waiting:
                    return
                is_first = not any(other._is_waiting for other in self._all)
                self._thread = threading.Thread(
                    target=self._keep_trying,
                    args=(make_ready, go, cancelled),
                    name=f"{self._what}-late-start",
                    daemon=True,
                )
                self._service = service
                state.deferred[service] = service.shutdown
                self._thread.start()
            if is_first:
                logger.warning("%s The %s will start as soon as it is there.", error, self._what)
            else:
                logger.info("The %s, too, will start as soon as the task queue's server is there.", self._what)

    def cancel(self) -> None:
        """Give up waiting. Never blocks for long: an attempt under way comes to nothing by itself."""
        with self._lock:
            self._forget_deferral()
            self._cancelled.set()
            self._cancelled = threading.Event()
            self._thread = None

    def _forget_deferral(self) -> None:
        if self._service is not None:
            state.deferred.pop(self._service, None)

    @property
    def _is_waiting(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _attempt(self, make_ready: Callable[[], object], go: Callable[[], object], cancelled: threading.Event) -> None:
        # Not under the lock: it may take seconds, and a container that is stopping may call cancel() meanwhile.
        make_ready()
        with self._lock:
            if not cancelled.is_set():
                go()

    def _keep_trying(
        self, make_ready: Callable[[], object], go: Callable[[], object], cancelled: threading.Event
    ) -> None:
        failures = 0
        while not cancelled.wait(backoff_s(failures)):
            failures += 1
            try:
                self._attempt(make_ready, go, cancelled)
            except QueueUnavailableError:
                continue
            except Exception:
                logger.exception("the %s can't be started", self._what)
                return
            if not cancelled.is_set():
                self._forget_deferral()
                logger.info("The task queue's server is there: started the %s.", self._what)
            return
