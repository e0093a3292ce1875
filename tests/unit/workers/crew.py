"""Workers for tests. In a module of their own: processes find their classes by import."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from singleton_service.workers import AbstractWorker, ProcessWorker, ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import Queue
    from pathlib import Path

LONG_S = 60.0


class Journal:
    """A file to which workers of all processes append lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    @property
    def lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []

    def has(self, line: str, times: int = 1) -> Callable[[], bool]:
        return lambda: self.lines.count(line) >= times


class Told(AbstractWorker):
    """Writes down each hook; fails in those it is told to fail in; runs until told to stop."""

    def __init__(self, journal: Journal, *fails_in: str, name: str = "told", **options: Any) -> None:
        super().__init__(name, **options)
        self.journal = journal
        self.fails_in = fails_in

    def note(self, hook: str) -> None:
        self.journal(hook)
        if hook in self.fails_in:
            raise ValueError(f"no {hook} today")

    def setup(self) -> None:
        self.note("setup")

    def main(self) -> None:
        self.note("main")
        while self.is_running:
            self.should_stop(within=LONG_S)

    def teardown(self) -> None:
        self.note("teardown")

    def lifecycle(self, event: str, **data: Any) -> None:
        self.note(f"{event} {data['exception']}" if data else event)


class ToldAsync(Told):
    """The same in coroutines, all of which say on which loop they are."""

    async def setup(self) -> None:  # type: ignore[override]
        self.context.loop = asyncio.get_running_loop()
        self.note("setup")

    async def main(self) -> None:  # type: ignore[override]
        self.note_loop("main")
        while not await self.should_stop_async(within=LONG_S):
            pass

    async def teardown(self) -> None:  # type: ignore[override]
        self.note_loop("teardown")

    async def lifecycle(self, event: str, **data: Any) -> None:  # type: ignore[override]
        self.note_loop(f"{event} {data['exception']}" if data else event)

    def note_loop(self, hook: str) -> None:
        self.note(hook if asyncio.get_running_loop() is self.context.loop else f"{hook} on another loop")


class ToldThread(Told, ThreadWorker): ...


class ToldProcess(Told, ProcessWorker): ...


class ToldAsyncThread(ToldAsync, ThreadWorker): ...


class ToldAsyncProcess(ToldAsync, ProcessWorker): ...


class Doubler(ProcessWorker):
    """Doubles numbers from one queue to another until it finds None."""

    def __init__(self, numbers: Queue[int | None], *, doubled: Queue[int]) -> None:
        super().__init__()
        self.numbers = numbers
        self.doubled = doubled

    def main(self) -> None:
        while (number := self.numbers.get(timeout=LONG_S)) is not None:
            self.doubled.put(2 * number)


class Doing(ProcessWorker):
    """Runs one function of this module as its main."""

    def __init__(self, journal: Journal, function: Callable[[Doing], None]) -> None:
        super().__init__()
        self.journal = journal
        self.function = function

    def main(self) -> None:
        self.function(self)

    def teardown(self) -> None:
        self.journal("teardown")

    def lifecycle(self, event: str, **data: Any) -> None:
        self.journal(event)


def sleep_on(worker: Doing) -> None:
    worker.journal(f"pid {os.getpid()}")
    time.sleep(LONG_S)


def swallow_everything(worker: Doing) -> None:
    worker.journal("main")
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        try:
            time.sleep(LONG_S)
        except BaseException:
            worker.journal("swallowed")


def leave_a_grandchild(worker: Doing) -> None:
    """Die while a forked and a spawned child of this process live on, with all it had open."""
    program = f"import time; time.sleep({LONG_S})"
    spawned = subprocess.Popen([sys.executable, "-c", program], close_fds=False)
    forked = os.fork()
    if forked == 0:
        time.sleep(LONG_S)
        os._exit(0)
    worker.journal(f"{spawned.pid} {forked}")
    os.kill(os.getpid(), signal.SIGKILL)


def exit_quietly(worker: Doing) -> None:
    sys.exit()


def exit_loudly(worker: Doing) -> None:
    sys.exit(3)


class Unmakable(ProcessWorker):
    """Its constructor fails in every process but the first."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        if os.getpid() != pid:
            raise ValueError("only at home")

    def main(self) -> None: ...


class AsyncSleeper(ProcessWorker):
    """Sleeps in a coroutine, and says in which order it ends."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    async def main(self) -> None:
        try:
            self.journal("main")
            await asyncio.sleep(LONG_S)
        finally:
            self.journal("main is broken off")

    async def teardown(self) -> None:
        self.journal("teardown")


def parent_another(worker: Doing) -> None:
    """Start a process from within a process, and leave it to be ended with this one."""
    child = ToldProcess(worker.journal)
    child.start()
    while "main" not in worker.journal.lines:
        worker.should_stop(within=0.01)
