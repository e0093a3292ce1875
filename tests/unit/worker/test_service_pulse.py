"""When a service is asked whether it answers, and who waits for that."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from singleton_service import BaseService, start
from singleton_service.background.worker import service_pulse
from singleton_service.background.worker.service_pulse import ServicePulse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Asked:
    """A started service that answers when the test lets it, and its pulse."""

    def __init__(self) -> None:
        self.times = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        asked = self

        class Service(BaseService):
            @classmethod
            def ping(cls) -> bool:
                asked.times += 1
                return asked.may_answer.wait(30)

        start(Service)
        self.times = 0
        self.service = Service
        self.pulses: list[ServicePulse] = []

    def begin(self) -> ServicePulse:
        self.pulses.append(ServicePulse(self.service, 3600, lambda: "'job'"))
        return self.pulses[-1]


@pytest.fixture
def asked() -> Iterator[Asked]:
    asked = Asked()
    yield asked
    asked.may_answer.set()
    for each in asked.pulses:
        each.stop()
        each.join(10)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("worker-ping-")]


def test_a_service_that_stays_away_is_asked_ever_more_seldom() -> None:
    assert [service_pulse._again_s(misses) for misses in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_handler_that_always_fails_has_a_service_that_is_well_asked_but_seldom(
    asked: Asked, until: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_pulse, "_LEAST_GAP_S", 3600)
    pulse_ = asked.begin()
    assert pulse_.trouble() is None
    for _ in range(1000):
        pulse_.doubt()
        assert pulse_.is_calm
    assert asked.times == 1


def test_after_a_doubt_the_answer_is_a_new_one(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_pulse, "_LEAST_GAP_S", 0)
    monkeypatch.setattr(service_pulse, "_GAP_PER_PING", 0)
    pulse_ = asked.begin()
    for times in range(1, 20):
        assert pulse_.trouble() is None
        assert asked.times == times
        pulse_.doubt()
        assert not pulse_.is_calm


def test_nobody_waits_for_an_answer_on_an_event_loop_that_may_be_needed_for_it(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_pulse, "_PATIENCE_S", 3600)
    asked.may_answer.clear()
    pulse_ = asked.begin()

    async def look() -> str | None:
        return pulse_.trouble()

    assert asyncio.run(look()) == "Service is not answering: it has been asked, and says nothing yet"
    asked.may_answer.set()
    assert pulse_.trouble() is None


def test_what_is_not_started_has_nothing_to_say(asked: Asked) -> None:
    asked.service._initialized = False
    pulse_ = asked.begin()
    assert pulse_.trouble() is None
    assert asked.times == 0
