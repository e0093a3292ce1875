"""A signal handler may stop everything, wherever it interrupts the program."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import stop
from singleton_service.exceptions import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Journal, Workshop

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def on_alarm() -> Iterator[Callable[[Callable[[], Any]], None]]:
    before = signal.getsignal(signal.SIGALRM)

    def install(handler: Callable[[], Any]) -> None:
        signal.signal(signal.SIGALRM, lambda *_: handler())

    yield install
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_handler_that_stops_everything_amid_a_start_lets_the_start_finish(
    workshop: Workshop, journal: Journal, on_alarm: Callable[[Callable[[], Any]], None]
) -> None:
    is_handled = threading.Event()

    def handle() -> None:
        stop()
        is_handled.set()

    def initialize() -> None:
        signal.raise_signal(signal.SIGALRM)

    base = workshop.service("Base")
    service = workshop.service("Service", base, initialize=initialize)
    on_alarm(handle)
    assert service.call() == "Service"
    assert is_handled.is_set()
    assert journal.lines == ["+Base", "+Service", "-Base"]


def test_a_storm_of_handlers_that_stop_and_call_never_hangs(
    workshop: Workshop, on_alarm: Callable[[Callable[[], Any]], None]
) -> None:
    base = workshop.service("Base")
    service = workshop.service("Service", base)
    handled: list[int] = []

    def handle() -> None:
        handled.append(1)
        with suppress(ServiceError):  # the interrupted code may be at this very service
            if len(handled) % 2:
                stop()
            else:
                service.call()

    on_alarm(handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    deadline = time.monotonic() + 20
    while len(handled) < 400 and time.monotonic() < deadline:
        service.call()
        stop()
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert len(handled) >= 400
