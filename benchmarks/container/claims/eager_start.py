"""Is there one call that brings everything up, so that what is broken shows at once and not at the first request?

"partly": for some kinds of things only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers, providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, PARTLY, YES, compare
from singleton_service import BaseService, start

up: list[str] = []


class Pool:
    def __init__(self) -> None:
        up.append("pool")


class Mailer:
    def __init__(self, _pool: Pool) -> None:
        up.append("mailer")


class PoolService(BaseService):
    @classmethod
    def initialize(cls) -> None:
        up.append("pool")


class MailerService(BaseService):
    @classmethod
    def initialize(cls) -> None:
        up.append("mailer")


def ours() -> None:
    start(PoolService, MailerService)


def with_dishka() -> None:
    provider = dishka.Provider(scope=dishka.Scope.APP)
    provider.provide(Pool)
    provider.provide(Mailer)
    _call_what_sounds_like_it(dishka.make_container(provider))


def with_wireup() -> None:
    _call_what_sounds_like_it(
        wireup.create_sync_container(injectables=[wireup.injectable(Pool), wireup.injectable(Mailer)])
    )


def with_svcs() -> None:
    registry = svcs.Registry()
    registry.register_factory(Pool, Pool)
    registry.register_factory(Mailer, lambda svcs_container: Mailer(svcs_container.get(Pool)))
    _call_what_sounds_like_it(svcs.Container(registry))


def with_that_depends() -> None:
    class Container(that_depends.BaseContainer):  # type: ignore[misc]
        pool = that_providers.Singleton(Pool)
        mailer = that_providers.Singleton(Mailer, pool.cast)

    asyncio.run(Container.init_resources())


def with_dependency_injector() -> None:
    class Container(containers.DeclarativeContainer):  # type: ignore[misc]
        pool = providers.Resource(Pool)
        mailer = providers.Singleton(Mailer, pool)

    Container().init_resources()


def _call_what_sounds_like_it(container: object) -> None:
    for name in dir(container):
        if not name.startswith("_") and any(word in name for word in ("start", "init", "warm", "eager")):
            getattr(container, name)()


def judge(bring_up: Callable[[], None]) -> str:
    up.clear()
    bring_up()
    return {0: NO, 1: PARTLY}.get(len(up), YES)


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
