"""Is a thing made once when 16 threads, or 100 tasks, ask for it at once the first time?

Each container in its plain form: the provider that its introduction shows for a singleton.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import dishka
import svcs
import wireup
from dependency_injector import providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, PARTLY, YES, compare
from singleton_service import BaseService, guarded

THREADS, TASKS = 16, 100
made: list[str] = []


class Pool: ...


def pool() -> Pool:
    made.append("pool")
    time.sleep(0.05)  # long enough for all the others to arrive
    return Pool()


async def pool_async() -> Pool:
    made.append("pool")
    await asyncio.sleep(0.05)
    return Pool()


def from_threads(get: Callable[[], object]) -> int:
    """Return how often the thing was made."""
    made.clear()
    together = threading.Barrier(THREADS)

    def main() -> None:
        together.wait()
        get()

    threads = [threading.Thread(target=main) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(made)


async def from_tasks(get: Callable[[], Awaitable[object]]) -> int:
    """Return how often the thing was made."""

    async def main() -> None:
        await get()

    made.clear()
    await asyncio.gather(*(main() for _ in range(TASKS)))
    return len(made)


async def ours() -> tuple[int, int]:
    class Plain(BaseService):
        @classmethod
        def initialize(cls) -> None:
            pool()

        @classmethod
        @guarded
        def get(cls) -> None: ...

    class Async(BaseService):
        @classmethod
        async def initialize(cls) -> None:
            await pool_async()

        @classmethod
        @guarded
        async def get(cls) -> None: ...

    return from_threads(Plain.get), await from_tasks(Async.get)


async def with_dishka() -> tuple[int, int]:
    plain, asynchronous = dishka.Provider(scope=dishka.Scope.APP), dishka.Provider(scope=dishka.Scope.APP)
    plain.provide(pool)
    asynchronous.provide(pool_async)
    container, container_async = dishka.make_container(plain), dishka.make_async_container(asynchronous)
    return from_threads(lambda: container.get(Pool)), await from_tasks(lambda: container_async.get(Pool))


async def with_wireup() -> tuple[int, int]:
    container = wireup.create_sync_container(injectables=[wireup.injectable(pool)])
    container_async = wireup.create_async_container(injectables=[wireup.injectable(pool_async)])
    return from_threads(lambda: container.get(Pool)), await from_tasks(lambda: container_async.get(Pool))


async def with_svcs() -> tuple[int, int]:
    plain, asynchronous = svcs.Registry(), svcs.Registry()
    plain.register_factory(Pool, pool)
    asynchronous.register_factory(Pool, pool_async)
    container, container_async = svcs.Container(plain), svcs.Container(asynchronous)
    return from_threads(lambda: container.get(Pool)), await from_tasks(lambda: container_async.aget(Pool))


async def with_that_depends() -> tuple[int, int]:
    plain, asynchronous = that_providers.Singleton(pool), that_providers.AsyncSingleton(pool_async)
    return from_threads(plain.resolve_sync), await from_tasks(asynchronous.resolve)


async def with_dependency_injector() -> tuple[int, int]:
    plain, asynchronous = providers.Singleton(pool), providers.Singleton(pool_async)
    return from_threads(plain), await from_tasks(asynchronous)


def judge(count: Callable[[], Awaitable[tuple[int, int]]]) -> str:
    async def main() -> tuple[int, int]:
        return await count()

    times = asyncio.run(main())
    return YES if times == (1, 1) else PARTLY if 1 in times else NO


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
