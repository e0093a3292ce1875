"""Do sync and async things start and shut down in one graph: from async code, and from plain code?

``Sender`` has plain hooks and needs ``Pool``, whose hooks are async. "partly": from async code only.
In each container the most direct calls that its documentation shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers, providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, PARTLY, YES, compare
from singleton_service import BaseService, requires, running, start, stop

journal: list[str] = []
RIGHT = ["+pool", "+sender", "-sender", "-pool"]


class Pool: ...


class Sender: ...


async def pool() -> AsyncIterator[Pool]:
    journal.append("+pool")
    yield Pool()
    journal.append("-pool")


def sender(_pool: Pool) -> Iterator[Sender]:
    journal.append("+sender")
    yield Sender()
    journal.append("-sender")


class PoolService(BaseService):
    @classmethod
    async def initialize(cls) -> None:
        journal.append("+pool")

    @classmethod
    async def shutdown(cls) -> None:
        journal.append("-pool")


@requires(PoolService)
class SenderService(BaseService):
    @classmethod
    def initialize(cls) -> None:
        journal.append("+sender")

    @classmethod
    def shutdown(cls) -> None:
        journal.append("-sender")


def ours_plain() -> None:
    start(SenderService)
    stop()


async def ours_async() -> None:
    async with running(SenderService):
        pass


def dishka_provider() -> dishka.Provider:
    provider = dishka.Provider(scope=dishka.Scope.APP)
    provider.provide(pool)
    provider.provide(sender)
    return provider


def dishka_plain() -> None:
    container = dishka.make_container(dishka_provider())
    container.get(Sender)
    container.close()


async def dishka_async() -> None:
    container = dishka.make_async_container(dishka_provider())
    await container.get(Sender)
    await container.close()


def wireup_plain() -> None:
    container = wireup.create_sync_container(injectables=[wireup.injectable(pool), wireup.injectable(sender)])
    container.get(Sender)
    container.close()


async def wireup_async() -> None:
    container = wireup.create_async_container(injectables=[wireup.injectable(pool), wireup.injectable(sender)])
    await container.get(Sender)
    await container.close()


def svcs_container() -> svcs.Container:
    async def sender_from(svcs_container: Any) -> AsyncIterator[Sender]:
        needed = await svcs_container.aget(Pool)
        for made in sender(needed):
            yield made

    registry = svcs.Registry()
    registry.register_factory(Pool, pool)
    registry.register_factory(Sender, sender_from)
    return svcs.Container(registry)


def svcs_plain() -> None:
    container = svcs_container()
    container.get(Sender)
    container.close()


async def svcs_async() -> None:
    container = svcs_container()
    await container.aget(Sender)
    await container.aclose()


class ThatContainer(that_depends.BaseContainer):  # type: ignore[misc]
    pool = that_providers.Resource(pool)
    sender = that_providers.Resource(sender, pool.cast)


def that_depends_plain() -> None:
    ThatContainer.sender.resolve_sync()
    ThatContainer.tear_down_sync()


async def that_depends_async() -> None:
    await ThatContainer.sender.resolve()
    await ThatContainer.tear_down()


class InjectorContainer(containers.DeclarativeContainer):  # type: ignore[misc]
    pool = providers.Resource(pool)
    sender = providers.Resource(sender, pool)


def dependency_injector_plain() -> None:
    container = InjectorContainer()
    container.init_resources()
    container.shutdown_resources()


async def dependency_injector_async() -> None:
    container = InjectorContainer()
    for under_way in (container.init_resources, container.shutdown_resources):
        pending = under_way()
        if pending is not None:
            await pending


def works(use: Callable[[], object]) -> bool:
    journal.clear()
    try:
        use()
    except Exception as error:  # whatever kind the container raises: its way of saying no
        print(f"       {getattr(use, '__name__', 'async')}: {type(error).__name__}: {str(error).splitlines()[0]}")
    return journal == RIGHT


def judge(plain: Callable[[], None], asynchronous: Callable[[], Awaitable[None]]) -> str:
    async def main() -> None:
        await asynchronous()

    if not works(lambda: asyncio.run(main())):
        # Both kinds did go up and down, if in the wrong order: that is the business of teardown_order.py.
        return PARTLY if sorted(journal) == sorted(RIGHT) else NO
    return YES if works(plain) else PARTLY


if __name__ == "__main__":
    compare(
        __file__,
        {
            "singleton-service": judge(ours_plain, ours_async),
            "dishka": judge(dishka_plain, dishka_async),
            "wireup": judge(wireup_plain, wireup_async),
            "svcs": judge(svcs_plain, svcs_async),
            "that-depends": judge(that_depends_plain, that_depends_async),
            "dependency-injector": judge(dependency_injector_plain, dependency_injector_async),
        },
    )
