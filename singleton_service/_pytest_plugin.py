"""The pytest plugin: every test finds the services as they were, and may start and swap them.

Registered as the entry point ``singleton_service``. Ini option ``singleton_service_isolation =
false`` turns the isolation off for all tests, the mark ``shares_services`` for one of them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest

from . import start, stop
from .testing import isolated, override

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._service import BaseService

__all__ = ["ServiceBench"]

Fake = TypeVar("Fake")


class ServiceBench:
    """What the fixture ``services`` gives: services for one test."""

    def __init__(self) -> None:
        self._overrides = ExitStack()

    def start(self, *services: type[BaseService]) -> None:
        """Start *services* and what they require. They are stopped after the test."""
        start(*services)

    def stop(self, *services: type[BaseService]) -> None:
        """Stop *services* and what depends on them; without arguments, everything."""
        stop(*services)

    def override(self, service: type[BaseService], fake: Fake) -> Fake:
        """Let *fake* stand in for *service* until the test ends. Return *fake*."""
        return self._overrides.enter_context(override(service, fake))

    def close(self) -> None:
        """End the overrides, the last one first."""
        self._overrides.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option."""
    parser.addini(
        "singleton_service_isolation",
        "put the state of all services back after each test (default: true)",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Announce the mark."""
    config.addinivalue_line(
        "markers", "shares_services: leave services as this test leaves them, instead of putting them back"
    )


@pytest.fixture(autouse=True)
def _services_are_put_back(request: pytest.FixtureRequest) -> Iterator[None]:
    is_wanted = request.config.getini("singleton_service_isolation")
    if not is_wanted or request.node.get_closest_marker("shares_services") is not None:
        yield
        return
    with isolated():
        yield


@pytest.fixture
def services() -> Iterator[ServiceBench]:
    """Start and swap services for this test: ``services.start(A)``, ``services.override(A, FakeA)``."""
    bench = ServiceBench()
    yield bench
    bench.close()
