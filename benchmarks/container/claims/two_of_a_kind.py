"""Can one class be used twice in one program, with different settings? Here others do what we do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NewType

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers, providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, YES, compare
from singleton_service import BaseService


class Pool:
    def __init__(self, url: str) -> None:
        self.url = url


class PoolService(BaseService): ...


Main = NewType("Main", Pool)
Archive = NewType("Archive", Pool)


def main_pool() -> Main:
    return Main(Pool("main"))


def archive_pool() -> Archive:
    return Archive(Pool("archive"))


def ours() -> list[str]:
    try:
        PoolService("main"), PoolService("archive")
    except RuntimeError:  # there is one, and it is the class
        return []
    return ["main", "archive"]


def with_dishka() -> list[str]:
    provider = dishka.Provider(scope=dishka.Scope.APP)
    provider.provide(main_pool)
    provider.provide(archive_pool)
    container = dishka.make_container(provider)
    return [container.get(Main).url, container.get(Archive).url]


def wireup_main() -> Pool:
    return Pool("main")


def wireup_archive() -> Pool:
    return Pool("archive")


def with_wireup() -> list[str]:
    container = wireup.create_sync_container(
        injectables=[
            wireup.injectable(wireup_main, qualifier="main"),
            wireup.injectable(wireup_archive, qualifier="archive"),
        ]
    )
    return [container.get(Pool, qualifier="main").url, container.get(Pool, qualifier="archive").url]


def with_svcs() -> list[str]:
    registry = svcs.Registry()
    main, archive = Annotated[Pool, "main"], Annotated[Pool, "archive"]
    registry.register_factory(main, wireup_main)
    registry.register_factory(archive, wireup_archive)
    container = svcs.Container(registry)
    return [container.get(main).url, container.get(archive).url]


def with_that_depends() -> list[str]:
    class Container(that_depends.BaseContainer):  # type: ignore[misc]
        main = that_providers.Singleton(Pool, "main")
        archive = that_providers.Singleton(Pool, "archive")

    return [Container.main.resolve_sync().url, Container.archive.resolve_sync().url]


def with_dependency_injector() -> list[str]:
    class Container(containers.DeclarativeContainer):  # type: ignore[misc]
        main = providers.Singleton(Pool, "main")
        archive = providers.Singleton(Pool, "archive")

    container = Container()
    return [container.main().url, container.archive().url]


def judge(urls: Callable[[], list[str]]) -> str:
    return YES if urls() == ["main", "archive"] else NO


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
