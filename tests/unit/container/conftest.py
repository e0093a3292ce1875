"""Services made to measure, and a container that is empty again after each test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from singleton_service import BaseService, guarded, requires, stop
from singleton_service.exceptions import ServiceShutdownError

Hook = Callable[[], Any]


@dataclass
class Journal:
    """What hooks did, in the order in which they did it."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def count(self, line: str) -> int:
        return self.lines.count(line)


@dataclass
class Workshop:
    """Makes service classes that write down what happens to them."""

    journal: Journal

    def service(
        self,
        name: str,
        *needs: type[BaseService],
        initialize: Hook | None = None,
        ping: Hook | None = None,
        shutdown: Hook | None = None,
        is_async: bool = False,
    ) -> type[Any]:
        """Make a service. A hook given is called inside the service's own, and awaited if that is async."""
        members = {
            "initialize": self._hook("+", initialize, is_async=is_async),
            "ping": self._hook("", ping, is_async=is_async),
            "shutdown": self._hook("-", shutdown, is_async=is_async),
            "call": classmethod(guarded(_call)),
            "call_async": classmethod(guarded(_call_async)),
        }
        made = type(name, (BaseService,), members)
        return requires(*needs)(made) if needs else made

    def _hook(self, sign: str, inner: Hook | None, *, is_async: bool) -> classmethod[Any, Any, Any]:
        journal = self.journal

        def note(cls: type) -> None:
            if sign:
                journal(f"{sign}{cls.__name__}")

        async def hook_async(cls: type) -> Any:
            note(cls)
            return True if inner is None else await inner()

        def hook_plain(cls: type) -> Any:
            note(cls)
            return True if inner is None else inner()

        return classmethod(hook_async if is_async else hook_plain)


def _call(cls: type, value: Any = None) -> Any:
    return cls.__name__ if value is None else value


async def _call_async(cls: type, value: Any = None) -> Any:
    return cls.__name__ if value is None else value


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def workshop(journal: Journal) -> Workshop:
    return Workshop(journal)


@pytest.fixture(autouse=True)
def empty_container() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    with suppress(ServiceShutdownError):  # then the test was about a hook that fails
        stop(timeout=5)
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("singleton-service")]
    for thread in ours:
        thread.join(5)
    assert [thread for thread in ours if thread.is_alive() and thread not in before] == []
