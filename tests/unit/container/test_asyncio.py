"""The container under asyncio: nothing blocks the loop that need not, and nothing deadlocks."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, ClassVar

import pytest

from singleton_service import BaseService, guarded, running, stop
from singleton_service.exceptions import (
    CircularDependencyError,
    DependencyNotInitializedError,
    SelfDependencyError,
    ServiceError,
    ServiceInitializationError,
    ServiceNotInitializedError,
    ServiceShutdownError,
)

if TYPE_CHECKING:
    from .conftest import Journal, Workshop

pytestmark = pytest.mark.timeout(30)
PATIENCE_S = 10


def test_an_async_method_starts_services_when_awaited_not_when_called(workshop: Workshop, journal: Journal) -> None:
    service = workshop.service("Service")

    async def main() -> None:
        coroutine = service.call_async()
        assert journal.lines == []
        assert await coroutine == "Service"

    asyncio.run(main())
    assert journal.lines == ["+Service"]


@pytest.mark.parametrize("kinds", [(False, True, False), (True, False, True), (True, True, True)])
def test_sync_and_async_hooks_mix_in_one_graph(
    workshop: Workshop, journal: Journal, kinds: tuple[bool, bool, bool]
) -> None:
    a = workshop.service("A", is_async=kinds[0])
    b = workshop.service("B", a, is_async=kinds[1])
    c = workshop.service("C", b, is_async=kinds[2])

    async def main() -> None:
        async with running(c):
            assert await c.call_async() == "C"
            assert c.call() == "C"

    asyncio.run(main())
    with running(c):
        assert c.call() == "C"
    assert journal.lines == ["+A", "+B", "+C", "-C", "-B", "-A"] * 2


def test_plain_hooks_under_an_async_call_run_in_a_thread_and_leave_the_loop_free(workshop: Workshop) -> None:
    loop_has_moved = threading.Event()

    def initialize() -> None:
        assert threading.current_thread() is not threading.main_thread()
        assert loop_has_moved.wait(PATIENCE_S)

    service = workshop.service("Service", initialize=initialize)

    async def main() -> None:
        call = asyncio.create_task(service.call_async())
        await asyncio.sleep(0)
        loop_has_moved.set()
        assert await call == "Service"

    asyncio.run(main())


def test_async_hooks_run_on_the_callers_loop(workshop: Workshop) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def note() -> bool:
        loops.append(asyncio.get_running_loop())
        return True

    service = workshop.service("Service", initialize=note, ping=note, shutdown=note, is_async=True)

    async def main() -> None:
        async with running(service):
            pass
        assert set(loops) == {asyncio.get_running_loop()}
        assert len(loops) == 3

    asyncio.run(main())


def test_async_hooks_under_a_plain_call_share_the_containers_own_loop(workshop: Workshop) -> None:
    loops: set[asyncio.AbstractEventLoop] = set()

    async def note() -> bool:
        loops.add(asyncio.get_running_loop())
        return True

    a = workshop.service("A", initialize=note, ping=note, shutdown=note, is_async=True)
    b = workshop.service("B", a, initialize=note, ping=note, shutdown=note, is_async=True)
    assert b.call() == "B"
    stop()
    assert len(loops) == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_a_plain_call_works_inside_a_running_loop(workshop: Workshop, *, is_async: bool) -> None:
    lower = workshop.service("Lower", is_async=is_async)
    upper = workshop.service("Upper", lower, is_async=not is_async)

    async def startup() -> None:
        assert upper.call() == "Upper"

    asyncio.run(startup())


def test_a_plain_call_inside_an_async_hook_works_whatever_lies_below(workshop: Workshop) -> None:
    lowest = workshop.service("Lowest", is_async=True)

    async def use_lowest() -> None:
        assert lowest.call() == "Lowest"

    lower = workshop.service("Lower", initialize=use_lowest, is_async=True)

    async def use_lower() -> None:
        assert lower.call() == "Lower"

    upper = workshop.service("Upper", initialize=use_lower, is_async=True)
    assert upper.call() == "Upper"


def test_hundreds_of_tasks_awaiting_at_once_start_it_once(workshop: Workshop, journal: Journal) -> None:
    async def pause() -> None:
        await asyncio.sleep(0.01)

    lower = workshop.service("Lower")
    service = workshop.service("Service", lower, initialize=pause, is_async=True)

    async def main() -> None:
        answers = await asyncio.gather(*(service.call_async(number) for number in range(1, 500)))
        assert answers == list(range(1, 500))

    asyncio.run(main())
    assert journal.lines == ["+Lower", "+Service"]


@pytest.mark.parametrize("is_async", [False, True])
def test_waiting_tasks_get_the_error_of_the_one_that_tried(
    workshop: Workshop, journal: Journal, *, is_async: bool
) -> None:
    def fail() -> None:
        raise OSError("no route")

    async def fail_async() -> None:
        await asyncio.sleep(0.01)
        fail()

    service = workshop.service("Service", initialize=fail_async if is_async else fail, is_async=is_async)

    async def main() -> None:
        errors = await asyncio.gather(*(service.call_async() for _ in range(50)), return_exceptions=True)
        assert {type(error) for error in errors} == {ServiceInitializationError}

    asyncio.run(main())
    if is_async:
        assert journal.lines == ["+Service"]


def test_cancelling_the_task_that_started_it_leaves_nothing_half_started(workshop: Workshop, journal: Journal) -> None:
    attempts: list[int] = []

    async def main() -> None:
        is_starting = asyncio.Event()

        async def initialize() -> None:
            attempts.append(1)
            is_starting.set()
            if len(attempts) == 1:
                await asyncio.sleep(3600)

        service = workshop.service("Service", initialize=initialize, is_async=True)
        first = asyncio.create_task(service.call_async())
        await is_starting.wait()
        second = asyncio.create_task(service.call_async())
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second == "Service"
        assert service._initialized

    asyncio.run(main())
    assert journal.lines == ["+Service", "+Service"]


def test_cancelling_a_task_lets_the_plain_hook_in_its_thread_finish_the_start(
    workshop: Workshop, journal: Journal
) -> None:
    is_starting, may_finish = threading.Event(), threading.Event()

    def initialize() -> None:
        is_starting.set()
        may_finish.wait(PATIENCE_S)

    service = workshop.service("Service", initialize=initialize)

    async def main() -> None:
        first = asyncio.create_task(service.call_async())
        assert await asyncio.to_thread(is_starting.wait, PATIENCE_S)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        may_finish.set()
        assert await service.call_async() == "Service"

    asyncio.run(main())
    assert journal.lines == ["+Service"]


def test_a_service_started_on_one_loop_refuses_async_use_on_another(workshop: Workshop) -> None:
    service = workshop.service("Service", is_async=True)

    async def use() -> object:
        return await service.call_async()

    asyncio.run(use())
    with pytest.raises(ServiceError, match=r"Service was started on .* \(closed\) and is now used from .* \(running\)"):
        asyncio.run(use())
    assert service.call() == "Service"  # plain calls never raise for that
    stop()
    assert asyncio.run(use()) == "Service"


def test_a_service_with_plain_hooks_may_be_used_from_any_loop(workshop: Workshop) -> None:
    service = workshop.service("Service")
    for _ in range(2):
        assert asyncio.run(service.call_async()) == "Service"


def test_a_plain_call_that_would_block_the_loop_its_start_needs_is_refused(workshop: Workshop) -> None:
    async def main() -> None:
        may_finish = asyncio.Event()
        service = workshop.service("Service", initialize=may_finish.wait, is_async=True)
        upper = workshop.service("Upper", service)
        starting = asyncio.create_task(service.call_async())
        await asyncio.sleep(0)
        with pytest.raises(ServiceNotInitializedError, match=r"async with running\(Service\)"):
            service.call()
        with pytest.raises(DependencyNotInitializedError, match="a dependency of Upper is in the way"):
            upper.call()
        with pytest.raises(ServiceNotInitializedError):
            stop()
        may_finish.set()
        assert await starting == "Service"
        assert upper.call() == "Upper"

    asyncio.run(main())


def test_a_plain_call_may_wait_for_a_start_that_does_not_need_its_loop(workshop: Workshop) -> None:
    service = workshop.service("Service", initialize=lambda: threading.Event().wait(0.05))

    async def main() -> None:
        starting = asyncio.create_task(service.call_async())
        await asyncio.sleep(0)
        assert service.call() == "Service"
        assert await starting == "Service"

    asyncio.run(main())


def test_async_hooks_that_need_themselves_or_each_other_get_the_path() -> None:
    class Own(BaseService):
        @classmethod
        async def initialize(cls) -> None:
            await asyncio.gather(cls.call())

        @classmethod
        @guarded
        async def call(cls) -> None: ...

    class Left(BaseService):
        @classmethod
        async def initialize(cls) -> None:
            await Right.call()

        @classmethod
        @guarded
        async def call(cls) -> None: ...

    class Right(BaseService):
        @classmethod
        async def initialize(cls) -> None:
            await Left.call()

        @classmethod
        @guarded
        async def call(cls) -> None: ...

    with pytest.raises(SelfDependencyError):
        asyncio.run(Own.call())
    with pytest.raises(CircularDependencyError, match="Left -> Right -> Left"):
        asyncio.run(Left.call())

    async def from_both_sides() -> None:
        errors = await asyncio.gather(Left.call(), Right.call(), return_exceptions=True)
        assert {type(error) for error in errors} == {CircularDependencyError}

    asyncio.run(from_both_sides())


def test_tasks_begun_in_a_hook_may_use_the_service_once_it_is_started() -> None:
    seen: list[str] = []

    class Service(BaseService):
        task: ClassVar[asyncio.Task[None]]

        @classmethod
        async def initialize(cls) -> None:
            cls.task = asyncio.create_task(cls.loop())

        @classmethod
        async def loop(cls) -> None:
            await asyncio.sleep(0.01)
            seen.append(await cls.call())

        @classmethod
        @guarded
        async def call(cls) -> str:
            return "called"

    async def main() -> None:
        async with running(Service):
            await Service.task

    asyncio.run(main())
    assert seen == ["called"]


def test_async_shutdowns_run_on_their_loop_if_it_still_runs(workshop: Workshop) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def note() -> None:
        loops.append(asyncio.get_running_loop())

    async def pause() -> None: ...

    service = workshop.service("Service", initialize=pause, shutdown=note, is_async=True)

    async def main() -> None:
        await service.call_async()
        await asyncio.to_thread(stop)
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(main())


@pytest.mark.parametrize("is_inside", [False, True])
def test_async_shutdowns_run_on_a_fresh_loop_if_theirs_cannot_go_on(
    workshop: Workshop, journal: Journal, *, is_inside: bool
) -> None:
    service = workshop.service("Service", is_async=True)

    async def main() -> None:
        await service.call_async()
        if is_inside:
            stop()  # this blocks the service's loop

    asyncio.run(main())
    stop()
    assert journal.lines == ["+Service", "-Service"]


def test_errors_of_async_and_plain_shutdowns_come_together(workshop: Workshop) -> None:
    def fail() -> None:
        raise OSError("plain")

    async def fail_async() -> None:
        raise ValueError("async")

    a = workshop.service("A", shutdown=fail)
    b = workshop.service("B", a, shutdown=fail_async, is_async=True)

    async def main() -> None:
        async with running(b):
            pass

    with pytest.raises(ServiceShutdownError) as caught:
        asyncio.run(main())
    assert [str(error) for error in caught.value.exceptions] == ["async", "plain"]


def test_an_interrupted_async_hook_leaves_the_containers_loop_alive(workshop: Workshop) -> None:
    interrupts: list[type[BaseException]] = [SystemExit]

    async def initialize() -> None:
        if interrupts:
            raise interrupts.pop()

    service = workshop.service("Service", initialize=initialize, is_async=True)
    with pytest.raises(SystemExit):
        service.call()
    assert service.call() == "Service"


def test_loops_in_several_threads_share_a_start_of_plain_hooks(workshop: Workshop, journal: Journal) -> None:
    service = workshop.service("Service", initialize=lambda: threading.Event().wait(0.02))
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(service.call_async()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert answers == ["Service"] * 4
    assert journal.lines == ["+Service"]


def test_async_shutdowns_stay_bounded(workshop: Workshop) -> None:
    async def hang() -> None:
        await asyncio.sleep(3600)

    service = workshop.service("Service", shutdown=hang, is_async=True)

    async def main() -> None:
        async with running(service, timeout=0.05):
            pass

    with pytest.raises(ServiceShutdownError) as caught:
        asyncio.run(main())
    assert isinstance(caught.value.exceptions[0], TimeoutError)


def test_hundreds_of_tasks_need_one_thread_for_a_plain_hook(workshop: Workshop) -> None:
    seen: list[int] = []
    lower = workshop.service("Lower", initialize=lambda: seen.append(threading.active_count()))
    service = workshop.service("Service", lower, initialize=lambda: seen.append(threading.active_count()))
    before = threading.active_count()

    async def main() -> None:
        await asyncio.gather(*(service.call_async() for _ in range(300)))

    asyncio.run(main())
    assert seen == [before + 1, before + 1]


def test_an_async_service_started_by_a_plain_call_says_so_when_awaited_elsewhere(workshop: Workshop) -> None:
    service = workshop.service("Service", is_async=True)
    service.call()
    with pytest.raises(ServiceError, match="started on the container's own event loop, by a plain call"):
        asyncio.run(service.call_async())
