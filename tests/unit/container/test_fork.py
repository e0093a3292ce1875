"""After fork a child starts its own services; no lock, thread or loop comes along."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from singleton_service import BaseService, guarded, requires, start, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Journal, Workshop

pytestmark = [
    pytest.mark.timeout(30),
    # Forking beside threads is what these tests are about; Python 3.12 warns about it.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]
PATIENCE_S = 10


class Owned(BaseService):
    """Knows which process opened it."""

    opened_by: ClassVar[list[int]] = []

    @classmethod
    def initialize(cls) -> None:
        cls.opened_by.append(os.getpid())

    @classmethod
    @guarded
    def owner(cls) -> int:
        return cls.opened_by[-1]


class AsyncOwned(Owned):
    """The same, with a hook that needs a loop."""

    opened_by: ClassVar[list[int]] = []

    @classmethod
    async def initialize(cls) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        cls.opened_by.append(os.getpid())


@requires(Owned)
class Above(Owned):
    """Depends on a service."""

    opened_by: ClassVar[list[int]] = []


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    yield
    for service in (Owned, AsyncOwned, Above):
        service.opened_by.clear()


def in_child(function: Callable[[], Any]) -> Any:
    """Return what *function* returns in a forked child, or fail when it does not end."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        threading.Timer(PATIENCE_S, lambda: os._exit(3)).start()
        try:
            os.write(writable, pickle.dumps(function()))
        except BaseException as error:
            os.write(writable, pickle.dumps(repr(error)))
        finally:
            os._exit(0)
    os.close(writable)
    with open(readable, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "the child did not end"
    return pickle.loads(answer)


@pytest.mark.parametrize("service", [Owned, AsyncOwned, Above])
def test_a_forked_child_starts_its_own_services(service: type[Owned]) -> None:
    saved = service.owner
    assert saved() == os.getpid()

    is_own, is_saved_own = in_child(lambda: (service.owner() == os.getpid(), saved() == os.getpid()))

    assert (is_own, is_saved_own) == (True, True)
    assert saved() == os.getpid()
    assert service.opened_by == [os.getpid()]


def use_and_stop() -> bool:
    is_own = AsyncOwned.owner() == os.getpid()
    stop()
    return is_own


def test_the_parents_loop_still_works_after_a_child_has_used_its_own(workshop: Workshop) -> None:
    assert AsyncOwned.owner() == os.getpid()
    assert in_child(use_and_stop) is True
    stop()
    assert AsyncOwned.owner() == os.getpid()


def test_after_a_fork_in_the_middle_of_a_start_no_lock_stays_held(workshop: Workshop) -> None:
    is_starting, may_finish = threading.Event(), threading.Event()
    parent = os.getpid()

    def initialize() -> None:
        if os.getpid() == parent:
            is_starting.set()
            may_finish.wait(PATIENCE_S)

    service = workshop.service("Service", initialize=initialize)
    starting = threading.Thread(target=service.call)
    starting.start()
    assert is_starting.wait(PATIENCE_S)
    try:
        assert in_child(service.call) == "Service"
    finally:
        may_finish.set()
        starting.join(PATIENCE_S)
    assert service._initialized


def test_after_a_fork_in_the_middle_of_a_stop_a_child_starts_anew(workshop: Workshop) -> None:
    is_stopping, may_finish = threading.Event(), threading.Event()

    def shutdown() -> None:
        is_stopping.set()
        may_finish.wait(PATIENCE_S)

    service = workshop.service("Service", shutdown=shutdown)
    start(service)
    stopping = threading.Thread(target=stop)
    stopping.start()
    assert is_stopping.wait(PATIENCE_S)
    try:
        assert in_child(service.call) == "Service"
    finally:
        may_finish.set()
        stopping.join(PATIENCE_S)


def test_a_hook_may_fork_a_child_that_uses_the_service(workshop: Workshop) -> None:
    answers: list[object] = []
    parent = os.getpid()

    def initialize() -> None:
        if os.getpid() == parent:
            answers.append(in_child(service.call))

    service = workshop.service("Service", initialize=initialize)
    service.call()
    assert answers == ["Service"]


def test_a_child_forked_while_threads_hammer_the_container_can_start_services(workshop: Workshop) -> None:
    busy = workshop.service("Busy")
    is_over = threading.Event()

    def hammer() -> None:
        while not is_over.is_set():
            busy.call()
            stop(busy)

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert in_child(busy.call) == "Busy"
    finally:
        is_over.set()
        for thread in threads:
            thread.join(PATIENCE_S)


def test_a_child_stops_only_what_it_started_itself(workshop: Workshop, journal: Journal) -> None:
    parents, childs = workshop.service("Parents"), workshop.service("Childs")
    parents.call()

    def child() -> list[str]:
        childs.call()
        stop()
        return journal.lines

    assert in_child(child) == ["+Parents", "+Childs", "-Childs"]


def report(connection: Any) -> None:
    connection.send(Owned.owner() == os.getpid())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_start_their_own(method: str) -> None:
    assert Owned.owner() == os.getpid()
    context: Any = multiprocessing.get_context(method)
    here, there = context.Pipe(duplex=False)
    if method == "spawn":
        pytest.importorskip(__name__)  # a spawned process finds its function by importing this module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process = context.Process(target=report, args=(there,))
        process.start()
    assert here.poll(PATIENCE_S)
    assert here.recv() is True
    process.join(PATIENCE_S)
    here.close()
    there.close()


def test_importing_the_container_loads_neither_asyncio_nor_logging_and_starts_nothing() -> None:
    program = (
        "import sys, threading; import singleton_service as s; "
        "assert not {'asyncio', 'logging', 'inspect', 'typing'} & set(sys.modules), sys.modules.keys(); "
        "assert threading.active_count() == 1; assert 'redis' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", program],
        check=True,
        timeout=PATIENCE_S,
        cwd=Path(__file__).parents[3],
    )
