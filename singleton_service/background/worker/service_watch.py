"""Watches what handlers require: which of their services have stopped answering since they were started."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from singleton_service._hooks import is_default
from singleton_service._order import find_path
from singleton_service._plan import full_order, needs
from singleton_service.background.task_queue import TaskQueueService

from .pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singleton_service import BaseService
    from singleton_service.background.task_queue.handlers import Handler

    Service = type[BaseService]

_THREADS_END_S = 1.0


class ServiceWatch:
    """One pulse for each service with a ping that a handler requires, directly or not; all of them end with `stop`.

    A service is watched from the first task on that needs it. What nobody wrote a ping for costs nothing, and neither
    does the queue's own server: without it there are no tasks.
    """

    def __init__(self, handlers: Mapping[str, Handler], every_s: float) -> None:
        """Watch for *handlers*, which may become more; ask each service every *every_s* seconds."""
        self._handlers = handlers
        self._every_s = every_s
        self._lock = threading.Lock()
        self._is_stopping = False
        self._pulses: dict[Service, Pulse] = {}
        self._needed: dict[Service, tuple[Pulse, ...]] = {}

    def trouble(self, service: Service) -> str | None:
        """Return why tasks that need *service*, which is started, can't run now; None if they can."""
        pulses = self._needed.get(service)
        for pulse in self._begin(service) if pulses is None else pulses:
            if not pulse.is_calm and (reason := pulse.trouble()) is not None:
                return reason
        return None

    def doubt(self, service: Service) -> None:
        """Say that a task failed that needs *service*: before the next one it is asked whether it still answers."""
        for pulse in self._needed.get(service, ()):
            pulse.doubt()

    def look_anew(self, service: Service) -> None:
        """Say that *service* was started just now, perhaps with others below it than before."""
        self._needed.pop(service, None)

    def stop(self) -> None:
        """Ask nobody any more."""
        with self._lock:
            self._is_stopping = True
            pulses = tuple(self._pulses.values())
        for pulse in pulses:
            pulse.stop()
        ends_at = time.monotonic() + _THREADS_END_S
        for pulse in pulses:
            pulse.join(max(0.0, ends_at - time.monotonic()))

    def _begin(self, service: Service) -> tuple[Pulse, ...]:
        ours = set(full_order([TaskQueueService]))
        # In the order of starting: what is named as the reason is the root of it, not what stands on it.
        asked = [each for each in full_order([service]) if each not in ours and not is_default(each, "ping")]
        with self._lock:
            if self._is_stopping:
                return ()
            for each in asked:
                if each in self._pulses:
                    self._pulses[each].doubt()
                else:
                    self._pulses[each] = Pulse(each, self._every_s, partial(self._affected, each))
            self._needed[service] = tuple(self._pulses[each] for each in asked)
            return self._needed[service]

    def _affected(self, service: Service) -> str:
        """Name the handlers that need *service*."""
        names = [
            name
            for name, handler in tuple(self._handlers.items())
            if handler.service is not None and find_path(handler.service, service, needs) is not None
        ]
        return ", ".join(repr(name) for name in sorted(names))
