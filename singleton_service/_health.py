"""health: ask every started service whether it still works."""

from __future__ import annotations

import threading
import time

from . import _hooks
from ._circuit import circuits_of
from ._lifecycle import check_services
from ._loops import in_thread, is_usable, run_bounded, run_fresh_for, run_on, running_loop
from ._operations import lock, state
from ._states import ServiceState, look_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypedDict

    from ._operations import Record
    from ._service import BaseService

    Service = type[BaseService]

    class Health(TypedDict):
        """What `health` says about one service."""

        name: str
        state: str
        ok: bool
        error: str | None
        seconds: float


__all__ = ["PING_TIMEOUT_S", "complaint", "health", "health_async"]

PING_TIMEOUT_S = 5.0
AT_ONCE = 64
"""How many pings are out at a time; more threads would not make anything quicker."""


def health(*services: Service, timeout: float = PING_TIMEOUT_S) -> list[Health]:
    """Ping *services*, or all that is started, in parallel; start nothing. Any thread.

    A service that is not started is listed with ``ok`` false and not pinged, and so is one with an
    open circuit breaker. The answer consists of plain dicts and can be turned into JSON as it is. On
    a running event loop prefer `health_async`: this blocks, and services that live on that loop
    cannot answer meanwhile.

    Args:
        services: Whom to ask; without arguments, everything that is started, in start order.
        timeout: Seconds each ping may take.

    Returns:
        For each service: ``name``, ``state`` ("started", "starting", "stopping", "not started"),
        ``ok``, ``error`` (None when ok) and the ``seconds`` its ping took.
    """
    check_services(services)
    chosen = list(services) if services else list(state.started)
    answers: dict[int, Health] = {}

    def ask(number: int, service: Service) -> None:
        answers[number] = _judge(service, lambda record: _ping(service, record, timeout))

    for first in range(0, len(chosen), AT_ONCE):
        threads = [
            threading.Thread(target=ask, args=(number, chosen[number]), name="singleton-service-health", daemon=True)
            for number in range(first, min(first + AT_ONCE, len(chosen)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [answers[number] for number in range(len(chosen))]


async def health_async(*services: Service, timeout: float = PING_TIMEOUT_S) -> list[Health]:  # noqa: ASYNC109
    """Do what `health` does without blocking the running event loop.

    Args:
        services: Whom to ask; without arguments, everything that is started, in start order.
        timeout: Seconds each ping may take.
    """
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    check_services(services)
    return list(
        await asyncio.gather(*(_ask_awaiting(service, timeout) for service in services or tuple(state.started)))
    )


def complaint(service: Service, timeout_s: float = PING_TIMEOUT_S) -> str | None:
    """Ping *service* and return what is wrong with it, None if nothing; for a thread that does nothing else.

    A plain ping runs in the calling thread and keeps it as long as it likes: who asks again and again must not leave a
    thread behind each time. One that took too long is a complaint all the same. What is not started is not asked.
    """
    began = time.monotonic()
    current, record = look_at(service)
    if current is not ServiceState.STARTED:
        return None
    told = _answer(lambda: _ping(service, record, timeout_s, runs_here=True))
    return f"took longer than {timeout_s:g} s" if time.monotonic() - began > timeout_s else told


async def _ask_awaiting(service: Service, timeout_s: float) -> Health:
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    current, record = look_at(service)
    home = record.loop if record is not None else None
    is_ours = _hooks.is_async(service.ping) and home in (None, asyncio.get_running_loop())
    if current is not ServiceState.STARTED or not is_ours:
        return await in_thread(
            lambda: _judge(service, lambda found: _ping(service, found, timeout_s)), outlives_cancellation=True
        )
    began = time.monotonic()
    if (refusal := _refusal(service)) is not None:
        return _report(service, current, refusal, began)
    try:
        async with asyncio.timeout(timeout_s):
            answer = await service.ping()  # type: ignore[misc]  # is_async says so
    except TimeoutError:
        return _report(service, current, f"took longer than {timeout_s:g} s", began)
    except Exception as error:
        return _report(service, current, _told(error), began)
    return _report(service, current, None if answer else "its ping method returned False", began)


def _judge(service: Service, ping: Callable[[Record | None], object]) -> Health:
    began = time.monotonic()
    current, record = look_at(service)
    if current is not ServiceState.STARTED:
        return _report(service, current, f"the service is {current.value}", began)
    return _report(service, current, _refusal(service) or _answer(lambda: ping(record)), began)


def _refusal(service: Service) -> str | None:
    return next((refusal for circuit in circuits_of(service) if (refusal := circuit.refusal) is not None), None)


def _answer(ping: Callable[[], object]) -> str | None:
    """Return what is wrong by a ping, None if nothing."""
    try:
        answer = ping()
    except Exception as error:
        return _told(error)
    return None if answer else "its ping method returned False"


def _ping(service: Any, record: Record | None, timeout_s: float, *, runs_here: bool = False) -> object:
    if _hooks.is_default(service, "ping"):
        return True
    hook = service.ping
    answer = hook() if runs_here or _hooks.is_async(hook) else run_bounded(hook, timeout_s)
    if not _hooks.is_awaitable(answer):
        return answer
    with lock:
        home = record.loop if record is not None else None
        if home is running_loop() or not is_usable(home):
            home = None
    if home is not None:
        return run_on(home, answer, timeout_s)
    if runs_here:
        return run_fresh_for(answer, timeout_s)
    return run_bounded(lambda: run_fresh_for(answer, timeout_s), timeout_s)


def _report(service: Service, current: ServiceState, error: str | None, began: float) -> Health:
    return {
        "name": service.__name__,
        "state": current.value,
        "ok": error is None,
        "error": error,
        "seconds": round(time.monotonic() - began, 6),
    }


def _told(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
