"""The gate: every kind of method, both orders, same signature, never out of the way."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import functools
import inspect
import pickle
import typing
from collections.abc import AsyncIterator, Callable, Generator, Iterator  # noqa: TC003 - get_type_hints
from typing import Any, ClassVar
from unittest.mock import patch

import pytest

from singleton_service import BaseService, guarded, start, stop

pytestmark = pytest.mark.timeout(30)
T = typing.TypeVar("T")


class Kinds(BaseService):
    """One guarded method of each kind. At module level, so that its methods can be pickled."""

    events: ClassVar[list[str]] = []

    @classmethod
    def initialize(cls) -> None:
        cls.events.append("initialize")

    @classmethod
    @guarded
    def plain(cls, a: int, /, b: str = "b", *rest: float, c: bytes, d: None = None, **more: int) -> tuple[Any, ...]:
        """Return everything."""
        return a, b, rest, c, d, more

    @guarded
    @classmethod
    def other_order(cls, a: int = 1) -> int:
        return a

    @classmethod
    @guarded
    async def coroutine(cls, a: int = 1) -> int:
        return a

    @guarded
    @classmethod
    async def other_order_async(cls) -> str:
        return cls.__name__

    @classmethod
    @guarded
    def generator(cls, first: int) -> Generator[int, int, str]:
        second = yield first
        yield second
        return "done"

    @classmethod
    @guarded
    async def async_generator(cls, first: int) -> AsyncIterator[int]:
        try:
            yield first
            yield first + 1
        except KeyError:
            yield -1
        finally:
            cls.events.append("closed")

    @classmethod
    @contextlib.contextmanager
    @guarded
    def manager(cls) -> Iterator[str]:
        cls.events.append("enter")
        yield "inside"
        cls.events.append("exit")

    @classmethod
    @guarded
    @contextlib.contextmanager
    def manager_guarded_outside(cls) -> Iterator[str]:
        cls.events.append("enter")
        yield "inside"
        cls.events.append("exit")

    @classmethod
    @contextlib.asynccontextmanager
    @guarded
    async def async_manager(cls) -> AsyncIterator[str]:
        cls.events.append("enter")
        try:
            yield "inside"
        except KeyError:
            cls.events.append("handled")
        cls.events.append("exit")

    @classmethod
    @guarded
    @contextlib.asynccontextmanager
    async def async_manager_guarded_outside(cls) -> AsyncIterator[str]:
        cls.events.append("enter")
        yield "inside"
        cls.events.append("exit")


@pytest.fixture(autouse=True)
def no_events() -> None:
    Kinds.events.clear()


def test_arguments_of_every_sort_pass_through() -> None:
    assert Kinds.plain(1, c=b"c") == (1, "b", (), b"c", None, {})
    assert Kinds.plain(1, "x", 2.0, 3.0, c=b"c", e=5) == (1, "x", (2.0, 3.0), b"c", None, {"e": 5})
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'c'"):
        Kinds.plain(1)  # type: ignore[call-arg]


def test_both_decorator_orders_work() -> None:
    assert Kinds.other_order(2) == 2
    assert asyncio.run(Kinds.other_order_async()) == "Kinds"
    assert Kinds.events == ["initialize"]


def test_signature_name_and_docstring_are_the_methods_own() -> None:
    method = Kinds.plain
    assert str(inspect.signature(method)).startswith("(a: 'int', /, b: 'str' = 'b', *rest: 'float', c: 'bytes'")
    assert (method.__name__, method.__qualname__, method.__doc__) == ("plain", "Kinds.plain", "Return everything.")
    assert typing.get_type_hints(method)["b"] is str
    assert getattr(method, "__func__").__globals__ is globals()  # noqa: B009 - mypy knows it as a function


def test_the_kind_of_a_method_can_still_be_told() -> None:
    assert inspect.iscoroutinefunction(Kinds.coroutine)
    assert inspect.isgeneratorfunction(Kinds.generator)
    assert inspect.isasyncgenfunction(Kinds.async_generator)
    assert not inspect.iscoroutinefunction(Kinds.plain)


def test_a_generator_starts_its_service_at_the_first_item() -> None:
    generator = Kinds.generator(1)
    assert Kinds.events == []
    assert next(generator) == 1
    assert Kinds.events == ["initialize"]
    assert generator.send(7) == 7
    with pytest.raises(StopIteration) as caught:
        next(generator)
    assert caught.value.value == "done"


def test_an_async_generator_hands_on_items_and_errors_and_is_closed() -> None:
    async def main() -> None:
        assert [item async for item in Kinds.async_generator(1)] == [1, 2]
        generator: Any = Kinds.async_generator(5)
        assert await generator.asend(None) == 5
        assert await generator.athrow(KeyError()) == -1
        await generator.aclose()
        generator = Kinds.async_generator(5)
        assert await anext(generator) == 5
        await generator.aclose()

    asyncio.run(main())
    assert Kinds.events == ["initialize", "closed", "closed", "closed"]


@pytest.mark.parametrize("manager", [Kinds.manager, Kinds.manager_guarded_outside])
def test_a_context_manager_starts_its_service_when_entered(
    manager: Callable[[], contextlib.AbstractContextManager[str]],
) -> None:
    made = manager()
    assert Kinds.events == []
    with made as value:
        assert value == "inside"
    assert Kinds.events == ["initialize", "enter", "exit"]


@pytest.mark.parametrize("manager", [Kinds.async_manager, Kinds.async_manager_guarded_outside])
def test_an_async_context_manager_starts_its_service_when_entered(
    manager: Callable[[], contextlib.AbstractAsyncContextManager[str]],
) -> None:
    async def main() -> None:
        made = manager()
        assert Kinds.events == []
        async with made as value:
            assert value == "inside"

    asyncio.run(main())
    assert Kinds.events == ["initialize", "enter", "exit"]


def test_an_error_in_an_async_context_reaches_the_method() -> None:
    async def main() -> None:
        async with Kinds.async_manager():
            raise KeyError

    asyncio.run(main())
    assert Kinds.events == ["initialize", "enter", "handled", "exit"]


def test_an_error_a_context_manager_lets_pass_keeps_its_identity() -> None:
    error = ValueError("mine")

    async def main() -> None:
        async with Kinds.async_manager_guarded_outside():
            raise error

    with pytest.raises(ValueError, match="mine") as caught:
        asyncio.run(main())
    assert caught.value is error


def test_a_method_saved_while_started_is_guarded_after_a_stop() -> None:
    start(Kinds)
    saved, saved_async = Kinds.other_order, Kinds.coroutine
    stop()
    assert saved(3) == 3
    stop()
    assert asyncio.run(saved_async(4)) == 4
    assert Kinds.events == ["initialize"] * 3


def test_methods_can_be_patched_and_come_back() -> None:
    before = vars(Kinds)["other_order"]
    with patch.object(Kinds, "other_order", return_value="patched"):
        patched: object = Kinds.other_order()
        assert patched == "patched"
    assert vars(Kinds)["other_order"] is before
    assert Kinds.other_order() == 1


def test_a_bound_method_travels_between_processes() -> None:
    assert pickle.loads(pickle.dumps(Kinds.plain)) == Kinds.plain


def test_an_override_may_call_up() -> None:
    class Child(Kinds):
        @classmethod
        @guarded
        def other_order(cls, a: int = 1) -> int:
            return super().other_order(a) * 10

    assert Child.other_order(2) == 20
    assert not Kinds._initialized


def test_a_method_decorated_by_others_is_guarded_with_any_arguments() -> None:
    def shout(function: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(function)
        def louder(*args: Any, **kwargs: Any) -> str:
            return function(*args, **kwargs).upper()

        return louder

    class Service(BaseService):
        @classmethod
        @guarded
        @shout
        def call(cls, word: str, *, end: str = "!") -> str:
            return f"{cls.__name__} {word}{end}"

    assert Service.call("hi", end="?") == "SERVICE HI?"
    assert Service._initialized


def test_services_may_be_defined_inside_functions() -> None:
    class Local(BaseService):
        @classmethod
        @guarded
        def call(cls) -> str:
            return cls.__qualname__

    assert "<locals>" in Local.call()


@pytest.mark.parametrize("thing", [staticmethod(len), 3, None])
def test_what_cannot_be_a_class_method_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="@guarded belongs on a class method"):
        guarded(thing)


def test_a_guarded_method_without_classmethod_is_refused_with_its_class() -> None:
    with pytest.raises(TypeError, match=r"Service\.call must be a class method.*put @classmethod above @guarded"):

        class Service(BaseService):
            @guarded
            def call(self) -> None: ...


def test_a_hook_without_classmethod_is_refused_with_its_class() -> None:
    with pytest.raises(TypeError, match=r"Service\.ping must be a class method"):

        class Service(BaseService):
            def ping(self) -> bool:  # type: ignore[override]
                return True


def test_inspectors_can_tell_a_guarded_method() -> None:
    assert Kinds.plain._guarded  # type: ignore[attr-defined]
    assert not getattr(Kinds.initialize, "_guarded", False)


def test_a_service_may_also_be_an_abstract_class_a_protocol_or_generic() -> None:
    class Greeter(typing.Protocol):
        @classmethod
        def greet(cls) -> str: ...

    class Base(BaseService, abc.ABC, typing.Generic[T]):
        @classmethod
        @abc.abstractmethod
        def word(cls) -> str: ...

    class Service(Base[int], Greeter):
        @classmethod
        def word(cls) -> str:
            return "hello"

        @classmethod
        @guarded
        def greet(cls) -> str:
            return cls.word()

    assert Service.greet() == "hello"
    assert Service._initialized
    assert not Base._initialized
