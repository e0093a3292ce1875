"""Overrides, isolation and the pytest plugin: what happens in a test stays in it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import MagicMock

import pytest

from singleton_service import BaseService, guarded, requires, start
from singleton_service.testing import isolated, override, reset

if TYPE_CHECKING:
    from .conftest import Journal, Workshop

pytestmark = pytest.mark.timeout(30)
PATIENCE_S = 30


def make_mailer() -> type[Any]:
    class Mailer(BaseService):
        outbox: ClassVar[list[str]] = []

        @classmethod
        @guarded
        def send(cls, to: str) -> str:
            cls.outbox.append(to)
            return f"{cls.__name__} sent to {to}"

        @classmethod
        @guarded
        async def send_async(cls, to: str) -> str:
            return f"{cls.__name__} sent to {to}"

        @classmethod
        def count(cls) -> int:
            return len(cls.outbox)

        @staticmethod
        def valid(to: str) -> bool:
            return "@" in to

    return Mailer


def test_a_service_stands_in_for_another_and_leaves_no_trace(workshop: Workshop, journal: Journal) -> None:
    real, fake = workshop.service("Real"), workshop.service("Fake")
    with override(real, fake) as given:
        assert given is fake
        assert real.call() == "Fake"
    assert real.call() == "Real"
    assert journal.lines == ["+Fake", "-Fake", "+Real"]


def test_a_method_saved_before_leads_to_the_stand_in_and_back(workshop: Workshop) -> None:
    real, fake = workshop.service("Real"), workshop.service("Fake")
    saved, saved_async = real.call, real.call_async
    assert saved() == "Real"
    with override(real, fake):
        assert saved() == "Fake"
        assert asyncio.run(saved_async()) == "Fake"
    assert saved() == "Real"
    assert asyncio.run(saved_async()) == "Real"


def test_dependents_get_the_stand_in_started_in_their_order(workshop: Workshop, journal: Journal) -> None:
    config = workshop.service("Config")
    real, fake = workshop.service("Real", config), workshop.service("Fake")
    user = workshop.service("User", real)
    with override(real, fake):
        user.call()
        assert journal.lines == ["+Fake", "+User"]
    assert journal.lines == ["+Fake", "+User", "-User", "-Fake"]


def test_what_was_started_before_is_started_again_after(workshop: Workshop, journal: Journal) -> None:
    real, fake = workshop.service("Real"), workshop.service("Fake")
    user = workshop.service("User", real)
    start(user)
    with override(real, fake):
        assert not user._initialized
        user.call()
    assert user._initialized
    assert real._initialized
    assert journal.lines == [
        *("+Real", "+User", "-User", "-Real"),
        *("+Fake", "+User", "-User", "-Fake"),
        *("+Real", "+User"),
    ]


def test_everything_is_put_back_when_the_block_fails(workshop: Workshop) -> None:
    real, fake = workshop.service("Real"), workshop.service("Fake")
    with pytest.raises(KeyError), override(real, fake):
        raise KeyError
    assert real.call() == "Real"


def test_overrides_nest_and_the_last_one_counts(workshop: Workshop) -> None:
    real, one, two = (workshop.service(name) for name in ("Real", "One", "Two"))
    with override(real, one):
        with override(real, two):
            assert real.call() == "Two"
        assert real.call() == "One"
    assert real.call() == "Real"


def test_any_object_may_stand_in() -> None:
    mailer = make_mailer()
    with override(mailer, MagicMock()) as mock:
        mock.send.return_value = "mocked"
        mock.count.return_value = 7
        mock.valid.return_value = "maybe"
        assert mailer.send("a@b.c") == "mocked"
        assert mailer.count() == 7
        assert mailer.valid("x") == "maybe"
        mock.send.assert_called_once_with("a@b.c")
    assert mailer.count() == 0
    assert mailer.valid("x") is False


def test_a_subclass_may_stand_in_and_call_up() -> None:
    mailer = make_mailer()

    class Loud(mailer):  # type: ignore[misc, valid-type]
        outbox: ClassVar[list[str]] = []

        @classmethod
        @guarded
        def send(cls, to: str) -> str:
            return str(super().send(to)).upper()

        @classmethod
        def count(cls) -> int:
            return int(super().count()) + 100

    with override(mailer, Loud):
        assert mailer.send("a") == "LOUD SENT TO A"
        assert asyncio.run(mailer.send_async("a")) == "Loud sent to a"
        assert mailer.count() == 101
        assert mailer.valid("a@b") is True
    assert mailer.outbox == []
    assert "count" in vars(mailer)


def test_an_override_works_within_a_running_loop(workshop: Workshop, journal: Journal) -> None:
    real = workshop.service("Real", is_async=True)
    fake = workshop.service("Fake", is_async=True)

    async def main() -> None:
        assert await real.call_async() == "Real"
        async with override(real, fake):
            assert await real.call_async() == "Fake"
        assert await real.call_async() == "Real"

    asyncio.run(main())
    assert journal.lines == ["+Real", "-Real", "+Fake", "-Fake", "+Real"]


def test_a_service_cannot_stand_in_for_itself(workshop: Workshop) -> None:
    real = workshop.service("Real")
    with pytest.raises(TypeError, match="Real cannot stand in for itself"):
        override(real, real)


def test_reset_stops_everything_and_ends_every_override(workshop: Workshop, journal: Journal) -> None:
    real, fake, other = (workshop.service(name) for name in ("Real", "Fake", "Other"))
    override(real, fake).__enter__()
    real.call()
    other._initialized = True
    reset()
    assert not other._initialized
    assert journal.lines == ["+Fake", "-Fake"]
    assert real.call() == "Real"


def test_isolation_puts_class_attributes_and_their_contents_back() -> None:
    class Service(BaseService):
        number: ClassVar[int] = 1
        items: ClassVar[list[int]] = [1]
        table: ClassVar[dict[str, int]] = {"a": 1}
        names: ClassVar[set[str]] = {"a"}

        @classmethod
        def initialize(cls) -> None:
            cls.number = 2
            cls.items.append(2)
            cls.table = {}
            cls.table["b"] = 2
            cls.names |= {"b"}
            cls.added = True  # type: ignore[attr-defined]

    items, names = Service.items, Service.names
    with isolated():
        start(Service)
    assert (Service.number, Service.items, Service.table, Service.names) == (1, [1], {"a": 1}, {"a"})
    assert Service.items is items
    assert Service.names is names
    assert not hasattr(Service, "added")
    assert not Service._initialized


def test_isolation_leaves_what_was_started_before_alone(workshop: Workshop, journal: Journal) -> None:
    base = workshop.service("Base")
    top, fake = workshop.service("Top", base), workshop.service("Fake")
    start(base)

    def spoil() -> None:
        override(top, fake).__enter__()
        base.counter = 5
        top.call()
        raise KeyError

    with pytest.raises(KeyError), isolated():
        spoil()
    assert base._initialized
    assert base.counter == 5
    assert top.call() == "Top"
    assert journal.lines == ["+Base", "+Fake", "-Fake", "+Top"]


def test_isolation_puts_changed_dependencies_back(workshop: Workshop) -> None:
    base = workshop.service("Base")
    top = workshop.service("Top", base)
    with isolated():
        top._dependencies = set()
        requires(workshop.service("More"))(top)
    assert top._dependencies == {base}


SUITE = """
import pytest
from singleton_service import BaseService, guarded

log = []

class Counter(BaseService):
    numbers = []

    @classmethod
    def initialize(cls):
        log.append("+")

    @classmethod
    def shutdown(cls):
        log.append("-")

    @classmethod
    @guarded
    def count(cls):
        cls.numbers.append(1)
        return len(cls.numbers)

class Fake(BaseService):
    @classmethod
    @guarded
    def count(cls):
        return "fake"

def test_first():
    assert Counter.count() == 1

def test_second_finds_nothing_of_the_first():
    assert log == ["+", "-"]
    assert not Counter._initialized
    assert Counter.count() == 1

def test_override(services):
    assert services.override(Counter, Fake) is Fake
    assert Counter.count() == "fake"

def test_override_is_over(services):
    services.start(Counter)
    assert Counter._initialized
    assert Counter.count() == 1

@pytest.mark.xfail(strict=True)
def test_that_fails(services):
    services.override(Counter, Fake)
    assert Counter.count() == 0

def test_after_a_failure():
    assert Counter.count() == 1

@pytest.mark.shares_services
def test_that_shares():
    assert Counter.count() == 1

def test_with_what_was_shared():
    assert Counter._initialized
    assert Counter.count() == 2
"""


@pytest.mark.parametrize("options", [(), ("-o", "singleton_service_isolation=false")])
def test_the_plugin_keeps_tests_apart_unless_told_otherwise(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "singleton_service._pytest_plugin", "--strict-markers", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(root)},
        timeout=PATIENCE_S,
        check=False,
    )
    if options:
        assert "failed" in done.stdout
    else:
        assert "7 passed, 1 xfailed" in done.stdout, done.stdout
