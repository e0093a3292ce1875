"""Watches what handlers require: which of their services have stopped answering since they were started."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from singleton_service import _plan
from singleton_service._circuit import circuits_of
from singleton_service._hooks import is_default
from singleton_service._order import find_path
from singleton_service.background.task_queue import TaskQueueService

from .service_pulse import ServicePulse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singleton_service import BaseService, CircuitBreaker
    from singleton_service.background.task_queue.handlers import Handler

    Service = type[BaseService]

_THREADS_END_S = 1.0


@dataclass(frozen=True, slots=True)
class _Needs:
    """What there is to look at before a task that needs a certain service."""

    pulses: tuple[ServicePulse, ...]
    circuits: tuple[tuple[str, CircuitBreaker], ...]


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
        self._pulses: dict[Service, ServicePulse] = {}
        self._needed: dict[Service, _Needs] = {}

    def is_calm(self, service: Service) -> bool:
        """Whether there is no need to ask for `trouble` of *service*; never waits."""
        needs = self._needed.get(service)
        return (
            needs is not None
            and all(pulse.is_calm for pulse in needs.pulses)
            and all(circuit.refusal is None for _, circuit in needs.circuits)
        )

    def trouble(self, service: Service) -> str | None:
        """Return why tasks that need *service*, which is started, can't run now; None if they can."""
        needs = self._needed.get(service) or self._begin(service)
        for pulse in needs.pulses:
            if not pulse.is_calm and (reason := pulse.trouble()) is not None:
                return reason
        for name, circuit in needs.circuits:
            if (refusal := circuit.refusal) is not None:
                return f"{name} is not answering: {refusal}"
        return None

    def doubt(self, service: Service) -> None:
        """Say that a task failed that needs *service*: before the next one it is asked whether it still answers."""
        if (needs := self._needed.get(service)) is not None:
            for pulse in needs.pulses:
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

    def _begin(self, service: Service) -> _Needs:
        ours = set(_plan.full_order([TaskQueueService]))
        # In the order of starting: what is named as the reason is the root of it, not what stands on it.
        below = [each for each in _plan.full_order([service]) if each not in ours]
        circuits = [(each.__name__, circuit) for each in below for circuit in circuits_of(each)]
        asked = [each for each in below if not is_default(each, "ping")]
        with self._lock:
            if self._is_stopping:
                return _Needs((), ())
            for each in asked:
                if each in self._pulses:
                    self._pulses[each].doubt()
                else:
                    self._pulses[each] = ServicePulse(each, self._every_s, partial(self._affected, each))
            needs = _Needs(tuple(self._pulses[each] for each in asked), tuple(circuits))
            self._needed[service] = needs
            return needs

    def _affected(self, service: Service) -> str:
        """Name the handlers that need *service*."""
        names = [
            name
            for name, handler in tuple(self._handlers.items())
            if handler.service is not None and find_path(handler.service, service, _plan.needs) is not None
        ]
        return ", ".join(repr(name) for name in sorted(names))
