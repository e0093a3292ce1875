"""Does an override reach what was built before it, and leave nothing behind when it ends?

The two halves of state that leaks between tests. ``Mailer`` needs ``Pool``; Pool is overridden, once after Mailer was
built and once before, each time in the container's own block for that. "partly": with a second call of its own that
throws away what was built.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers, providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, PARTLY, YES, compare
from singleton_service import BaseService, guarded, requires
from singleton_service.testing import override

numbers = itertools.count()


class Pool:
    name = "real"


class FakePool(Pool):
    name = "fake"


class Mailer:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Application(NamedTuple):
    """A container with Pool and Mailer in it."""

    pool_of_mailer: Callable[[], str]
    override: Callable[[], AbstractContextManager[Any]] | None
    """None where the way is to build a container for each test."""
    override_and_reset: Callable[[], AbstractContextManager[Any]] | None = None


def ours() -> Application:
    class PoolService(BaseService):
        @classmethod
        @guarded
        def name(cls) -> str:
            return "real"

    class FakePoolService(BaseService):
        @classmethod
        @guarded
        def name(cls) -> str:
            return "fake"

    @requires(PoolService)
    class MailerService(BaseService):
        pool = ""

        @classmethod
        def initialize(cls) -> None:
            cls.pool = PoolService.name()

        @classmethod
        @guarded
        def pool_name(cls) -> str:
            return cls.pool

    return Application(MailerService.pool_name, lambda: override(PoolService, FakePoolService))


def with_dishka() -> Application:
    provider = dishka.Provider(scope=dishka.Scope.APP)
    provider.provide(Pool)
    provider.provide(Mailer)
    container = dishka.make_container(provider)
    return Application(lambda: container.get(Mailer).pool.name, None)


def with_wireup() -> Application:
    container = wireup.create_sync_container(injectables=[wireup.injectable(Pool), wireup.injectable(Mailer)])
    return Application(lambda: container.get(Mailer).pool.name, lambda: container.override.injectable(Pool, FakePool()))


def with_svcs() -> Application:
    def mailer(svcs_container: Any) -> Mailer:
        return Mailer(svcs_container.get(Pool))

    registry = svcs.Registry()
    registry.register_factory(Pool, Pool)
    registry.register_factory(Mailer, mailer)
    container = svcs.Container(registry)
    return Application(lambda: container.get(Mailer).pool.name, None)


def with_that_depends() -> Application:
    class Container(that_depends.BaseContainer):  # type: ignore[misc]
        alias = f"container {next(numbers)}"  # it warns of two with one name
        pool = that_providers.Singleton(Pool)
        mailer = that_providers.Singleton(Mailer, pool.cast)

    @contextmanager
    def override_and_reset() -> Iterator[None]:
        Container.pool.override_sync(FakePool(), tear_down_children=True)
        yield
        Container.pool.reset_override_sync(tear_down_children=True)

    return Application(
        lambda: Container.mailer.resolve_sync().pool.name,
        lambda: Container.pool.override_context_sync(FakePool()),
        override_and_reset,
    )


def with_dependency_injector() -> Application:
    class Container(containers.DeclarativeContainer):  # type: ignore[misc]
        pool = providers.Singleton(Pool)
        mailer = providers.Singleton(Mailer, pool)

    container = Container()

    @contextmanager
    def override_and_reset() -> Iterator[None]:
        with container.pool.override(providers.Singleton(FakePool)), container.reset_singletons():
            yield

    return Application(
        lambda: container.mailer().pool.name,
        lambda: container.pool.override(providers.Singleton(FakePool)),
        override_and_reset,
    )


def works(make: Callable[[], Application], kind: str) -> bool:
    built_before, built_within = make(), make()
    if getattr(built_before, kind) is None:
        return False
    built_before.pool_of_mailer()
    with getattr(built_before, kind)():
        reaches = built_before.pool_of_mailer() == "fake"
    with getattr(built_within, kind)():
        built_within.pool_of_mailer()
    return reaches and built_within.pool_of_mailer() == "real"


def judge(make: Callable[[], Application]) -> str:
    if works(make, "override"):
        return YES
    return PARTLY if works(make, "override_and_reset") else NO


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
