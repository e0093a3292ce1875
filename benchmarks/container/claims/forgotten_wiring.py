"""Is forgotten wiring an error, instead of an object of the container's own that passes for the real thing?

A function uses ``Greeter`` the way the container has it declared, and the one step is left out that makes
the container hand it over: the integration, ``inject`` or ``wire()``.
"""

from __future__ import annotations

from collections.abc import Callable

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers, providers, wiring
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, PARTLY, YES, compare
from singleton_service import BaseService, guarded


class Greeter:
    def greet(self) -> str:
        return "hello"


class GreeterService(BaseService):
    @classmethod
    @guarded
    def greet(cls) -> str:
        return "hello"


class ThatContainer(that_depends.BaseContainer):  # type: ignore[misc]
    greeter = that_providers.Singleton(Greeter)


class InjectorContainer(containers.DeclarativeContainer):  # type: ignore[misc]
    greeter = providers.Singleton(Greeter)


def ours() -> object:
    return GreeterService.greet()  # there is no such step


def with_dishka() -> object:
    def handler(greeter: dishka.FromDishka[Greeter]) -> object:
        return greeter.greet()

    return handler()  # type: ignore[call-arg]


def with_wireup() -> object:
    def handler(greeter: wireup.Injected[Greeter]) -> object:
        return greeter.greet()

    return handler()  # type: ignore[call-arg]


def with_svcs() -> object:
    return svcs.Container(svcs.Registry()).get(Greeter).greet()


def with_that_depends() -> object:
    def handler(greeter: Greeter = that_depends.Provide[ThatContainer.greeter]) -> object:
        return greeter.greet()

    return handler()


def with_dependency_injector() -> object:
    def handler(greeter: Greeter = wiring.Provide[InjectorContainer.greeter]) -> object:
        return greeter.greet()

    return wiring.inject(handler)()


def judge(use: Callable[[], object]) -> str:
    try:
        answer = use()
    except AttributeError as error:  # the stand-in got through to the handler, which stumbled over it
        print(f"       {use.__name__}: AttributeError: {error}")
        return PARTLY
    except Exception as error:  # whatever kind the container raises: it said so
        print(f"       {use.__name__}: {type(error).__name__}: {error}")
        return YES
    return YES if answer == "hello" else NO


if __name__ == "__main__":
    compare(
        __file__,
        {
            "singleton-service": judge(ours),
            "dishka": judge(with_dishka),
            "wireup": judge(with_wireup),
            "svcs": judge(with_svcs),
            "that-depends": judge(with_that_depends),
            "dependency-injector": judge(with_dependency_injector),
        },
    )
