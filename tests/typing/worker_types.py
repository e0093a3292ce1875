"""What type checkers see of workers. Checked by mypy and pyright, never run."""

from __future__ import annotations

import asyncio
from queue import Queue
from typing import Any, assert_type

from singleton_service.workers import AbstractWorker, ProcessWorker, Server, ThreadWorker, run_async_safely


class Fetch(ThreadWorker):
    """Arguments of its own, and plain hooks."""

    def __init__(self, jobs: Queue[int], *, limit: int = 3) -> None:
        """Keep them."""
        super().__init__(name="fetch", daemon=False)
        self.jobs = jobs
        self.limit = limit

    def main(self) -> None:
        """Work."""
        assert_type(self.jobs.get(), int)
        assert_type(self.should_stop(within=1.0), bool)


class Compute(ProcessWorker):
    """Coroutines for hooks."""

    async def setup(self) -> None:
        """Open."""

    async def main(self) -> None:
        """Work."""
        assert_type(await self.should_stop_async(within=1.0), bool)

    async def teardown(self) -> None:
        """Close."""

    async def lifecycle(self, event: str, **data: Any) -> None:
        """Listen."""


async def answer() -> int:
    """Return a number."""
    return 42


fetch = assert_type(Fetch(Queue(), limit=2), Fetch)
Fetch("jobs")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Fetch(Queue(), limits=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ThreadWorker()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
assert_type(fetch.join(timeout=5), bool)
assert_type(fetch.name, str)
assert_type(Compute("c").pid, int | None)

server = Server("both")
server.add_worker(fetch)
server.add_worker(Compute())
server.add_worker(Fetch)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(server.workers, tuple[AbstractWorker, ...])
assert_type(server.run_forever(timeout=5), bool)
assert_type(run_async_safely(answer()), int | asyncio.Task[int])
