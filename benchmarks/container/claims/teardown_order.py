"""Is everything torn down in exact reverse of the order in which it came up?

``Mailer`` needs ``Pool`` needs ``Settings``; ``Cache`` stands alone and is used first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers, providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, PARTLY, YES, compare
from singleton_service import BaseService, guarded, requires, stop

up: list[str] = []
down: list[str] = []


class Settings: ...


class Pool: ...


class Mailer: ...


class Cache: ...


def settings() -> Iterator[Settings]:
    up.append("settings")
    yield Settings()
    down.append("settings")


def pool(_settings: Settings) -> Iterator[Pool]:
    up.append("pool")
    yield Pool()
    down.append("pool")


def mailer(_pool: Pool) -> Iterator[Mailer]:
    up.append("mailer")
    yield Mailer()
    down.append("mailer")


def cache() -> Iterator[Cache]:
    up.append("cache")
    yield Cache()
    down.append("cache")


FACTORIES = (settings, pool, mailer, cache)


class _Noting(BaseService):
    @classmethod
    def initialize(cls) -> None:
        up.append(cls.__name__)

    @classmethod
    def shutdown(cls) -> None:
        down.append(cls.__name__)

    @classmethod
    @guarded
    def use(cls) -> None: ...


def ours() -> None:
    first: Any = type("settings", (_Noting,), {})
    second = requires(first)(type("pool", (_Noting,), {}))
    third: Any = requires(second)(type("mailer", (_Noting,), {}))
    alone: Any = type("cache", (_Noting,), {})
    alone.use()
    third.use()
    stop()


def with_dishka() -> None:
    provider = dishka.Provider(scope=dishka.Scope.APP)
    for factory in FACTORIES:
        provider.provide(factory)
    container = dishka.make_container(provider)
    container.get(Cache)
    container.get(Mailer)
    container.close()


def with_wireup() -> None:
    container = wireup.create_sync_container(injectables=[wireup.injectable(factory) for factory in FACTORIES])
    container.get(Cache)
    container.get(Mailer)
    container.close()


def with_svcs() -> None:
    # As its documentation writes factories: a generator that gets what it needs from the container.
    def pool_from(svcs_container: Any) -> Iterator[Pool]:
        yield from pool(svcs_container.get(Settings))

    def mailer_from(svcs_container: Any) -> Iterator[Mailer]:
        yield from mailer(svcs_container.get(Pool))

    registry = svcs.Registry()
    registry.register_factory(Settings, settings)
    registry.register_factory(Pool, pool_from)
    registry.register_factory(Mailer, mailer_from)
    registry.register_factory(Cache, cache)
    container = svcs.Container(registry)
    container.get(Cache)
    container.get(Mailer)
    container.close()


def with_that_depends() -> None:
    class Container(that_depends.BaseContainer):  # type: ignore[misc]
        settings = that_providers.Resource(settings)
        pool = that_providers.Resource(pool, settings.cast)
        mailer = that_providers.Resource(mailer, pool.cast)
        cache = that_providers.Resource(cache)

    Container.cache.resolve_sync()
    Container.mailer.resolve_sync()
    Container.tear_down_sync()


def with_dependency_injector() -> None:
    class Container(containers.DeclarativeContainer):  # type: ignore[misc]
        settings = providers.Resource(settings)
        pool = providers.Resource(pool, settings)
        mailer = providers.Resource(mailer, pool)
        cache = providers.Resource(cache)

    container = Container()
    container.cache()
    container.mailer()
    container.shutdown_resources()


def judge(use: Callable[[], None]) -> str:
    up.clear()
    down.clear()
    use()
    if sorted(up) != sorted(down):
        return NO
    if down == up[::-1]:
        return YES
    dependents_first = down.index("mailer") < down.index("pool") < down.index("settings")
    return PARTLY if dependents_first else NO


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
