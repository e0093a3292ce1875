"""What the coroutines of a process share: opened on their loop before the first of them, closed before it ends."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .resource import Resource, here

if TYPE_CHECKING:
    from asyncio import Future, Queue, Task
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")

LOOP_RESOURCES: list[LoopResource[Any]] = []


class LoopResource(Resource[T]):
    """One of a thing for all coroutines on the event loop of the workers, such as a connection pool or an HTTP client.

    It is opened on the loop before the first coroutine there, and closed before the loop ends, in the reverse order of
    opening, all by one task. When opening fails, tasks of coroutines are held, uncounted, with the reason, and it is
    tried again.
    """

    _is_async: ClassVar[bool] = True
    _who_has_one: ClassVar[str] = "a worker opens it on its event loop, for coroutines"

    def __init__(self, open_one: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        """Have the event loop of this process's workers open one.

        Args:
            open_one: makes an async context manager, such as a function with `@contextlib.asynccontextmanager`. It is
                called on the loop, and may `get()` resources of the loop that were made before this one.

        Raises:
            TypeError: what it makes is no such thing, as far as that can be seen now.
        """
        super().__init__(open_one)
        LOOP_RESOURCES.append(self)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[T]:
        """Have one in the calling thread while the block lasts: for tests of handlers."""
        async with self._open() as value:
            with self._lent(value):
                yield value

    async def _trouble(self) -> str | None:
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        known = self._known_trouble()
        if known is not None:
            return known
        try:
            manager = self._open()
            value = await manager.__aenter__()
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the loop ends
            return self._went_wrong(error)
        here.managers.append((self, manager))
        self._went_well(value)
        return None


def all_open() -> bool:
    """Whether all that coroutines share is open on the running loop."""
    return len(here.values) == len(LOOP_RESOURCES)


class Keeper:
    """Opens and closes for one loop, in a task of its own: some things can't be closed by another than opened them."""

    def __init__(self) -> None:
        self._asking: Queue[Future[str | None] | None] | None = None
        self._task: Task[None] | None = None
        self._is_opening = False

    async def trouble(self) -> str | None:
        """Open on the running loop what is not open there; return why that failed, None when all is there."""
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        if self._asking is None:
            self._asking = asyncio.Queue()
            self._task = asyncio.create_task(self._keep(self._asking), name="worker-resources")
        if self._is_opening and (known := next(filter(None, (each._failed for each in LOOP_RESOURCES)), None)):
            return known[0]  # nobody waits for what failed before
        answer: Future[str | None] = asyncio.get_running_loop().create_future()
        self._asking.put_nowait(answer)
        return await answer

    async def close(self) -> None:
        """Close what is open, the latest first. Never raises."""
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        if self._asking is not None and self._task is not None:
            self._asking.put_nowait(None)
            await asyncio.wait([self._task])

    async def _keep(self, asking: Queue[Future[str | None] | None]) -> None:
        try:
            while (answer := await asking.get()) is not None:
                self._is_opening = True
                reason = await _open_all()
                self._is_opening = False
                if not answer.done():
                    answer.set_result(reason)
        finally:
            while here.managers:
                resource, manager = here.managers.pop()
                failed: BaseException | None = None
                try:
                    await manager.__aexit__(None, None, None)
                except BaseException as error:
                    failed = error
                resource._is_closed(failed)


async def _open_all() -> str | None:
    for resource in tuple(LOOP_RESOURCES):
        if resource not in here.values and (reason := await resource._trouble()) is not None:
            return reason
    return None
