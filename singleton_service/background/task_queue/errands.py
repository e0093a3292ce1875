"""The round trips of coroutines: threads of our own make them, so that no event loop waits for a server."""

from __future__ import annotations

import contextvars
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from .errors import QueueUnavailableError, stopped_meanwhile

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import QueueClient

P = ParamSpec("P")
R = TypeVar("R")

# Four threads send as much as thirty-two: the rest is for enqueues that wait for room or for a disk.
_THREADS = 32
# While the server is away each round trip takes about two seconds to say so. Those that stand in line behind others
# for longer than this are told at once: a thousand requests must not wait for one another.
_PATIENCE_S = 1.0


class Errands:
    """Runs short calls for coroutines, in their context.

    Attributes:
        pool: the threads that do it.
    """

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self.pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="task-queue-async")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call *function* in a thread and return what it returns. A cancelled call may have been made all the same.

        Raises:
            QueueUnavailableError: the server is away; or the service was stopped meanwhile.
        """
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        asked_at = time.monotonic()
        context = contextvars.copy_context()

        def errand() -> R:
            known = self._client.outage.error
            if known is not None and time.monotonic() - asked_at > _PATIENCE_S:
                raise QueueUnavailableError(*known.args)
            return context.run(function, *args, **kwargs)

        try:
            answer = asyncio.get_running_loop().run_in_executor(self.pool, errand)
        except RuntimeError as error:
            raise stopped_meanwhile() from error
        return await answer

    def stop(self) -> None:
        """Take no more; those under way are waited for, two seconds or so."""
        self.pool.shutdown()
