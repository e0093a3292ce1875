"""What handlers require: started before their tasks are taken, and while it does not answer the tasks wait."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from typing import TYPE_CHECKING

from singleton_service import start, stop
from singleton_service._operations import active, state
from singleton_service._starting import ensure_started_async
from singleton_service.exceptions import ServiceShutdownError

from .service_watch import ServiceWatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singleton_service import BaseService
    from singleton_service.background.task_queue.handlers import Handler

    from .loop import HandlerLoop

logger = logging.getLogger("singleton_service.worker")

_AGAIN_S = 1.0


class Readiness:
    """Starts services for handlers; those of coroutines on the loop on which the coroutines will run."""

    def __init__(self, loop: HandlerLoop) -> None:
        self.loop = loop
        self._trying = threading.Lock()
        # Why the last start failed, and from when on the next may be tried.
        self._failed: dict[type[BaseService], tuple[str, float]] = {}
        self._watch = ServiceWatch({}, _AGAIN_S)

    def prepare(self, handlers: Mapping[str, Handler], check_s: float) -> None:
        """Start what all handlers require. Never raises: what can't be started is logged, and tried again later.

        Those of handlers that run in processes are started there.

        Args:
            handlers: those of this process; more may be added later.
            check_s: how often to ask services whether they still answer.
        """
        self._watch = ServiceWatch(handlers, check_s)
        # A service of both kinds has to live on the loop, for plain code may use it from anywhere.
        for handler in sorted(handlers.values(), key=lambda handler: not _is_async(handler)):
            if handler.kind != "process" and handler.service is not None and not handler.service._initialized:
                self._start(handler, handler.service)

    def is_sure(self, handler: Handler) -> bool:
        """Whether the handler can be called without asking for `trouble`; never waits."""
        service = handler.service
        return service is None or (service._initialized and self._watch.is_calm(service))

    def trouble(self, handler: Handler) -> str | None:
        """Return why the handler can't be called now; None when it can. Starts what is missing, or tries to."""
        service = handler.service
        if service is None:
            return None
        if not service._initialized and (reason := self._start(handler, service)) is not None:
            return reason
        return self._watch.trouble(service)

    def doubt(self, handler: Handler) -> None:
        """Say that a task of the handler failed: before its next one, what it requires is asked whether it answers."""
        if handler.service is not None:
            self._watch.doubt(handler.service)

    def _start(self, handler: Handler, service: type[BaseService]) -> str | None:
        known = self._failed.get(service)
        if known is None:
            return self._try(handler, service)
        # While somebody tries, which may take its time, the others do other tasks.
        if time.monotonic() < known[1] or not self._trying.acquire(blocking=False):
            return known[0]
        try:
            return self._try(handler, service)
        finally:
            self._trying.release()

    def close(self) -> None:
        """End the loop, and before it what lives on it: nobody could use it from elsewhere."""
        self._watch.stop()
        loop = self.loop.loop
        living = [service for service in tuple(state.started) if loop is not None and service._home is loop]
        # When the container is stopping, it does so itself.
        if living and active() is None:
            try:
                stop(*living)
            except ServiceShutdownError:
                logger.exception("services of the worker's loop failed to shut down")
        self.loop.stop()

    def _try(self, handler: Handler, service: type[BaseService]) -> str | None:
        try:
            if _is_async(handler):
                self.loop.run(ensure_started_async((service,)))
            else:
                start(service)
        except Exception as error:
            reason = f"{service.__name__} is not ready: {error}"
            if service not in self._failed:
                logger.error(  # noqa: TRY400 - the message has the cause, and it may come again
                    "%s. Tasks of %r are held until it is; other tasks go on", reason, handler.name
                )
            self._failed[service] = reason, time.monotonic() + _AGAIN_S
            return reason
        self._watch.look_anew(service)
        if self._failed.pop(service, None) is not None:
            logger.info("%s is ready: tasks of %r go on", service.__name__, handler.name)
        return None


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(handler.function))
