"""The one event loop on which the coroutine handlers of this process run, in a thread of its own.

One loop for the worker's whole life: a client session that a handler keeps is never bound to a closed loop.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

_LONGEST_STOP_S = 5.0


class HandlerLoop:
    """Runs awaitables for threads that have no loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run *awaitable* on the loop and return what it gives; the calling thread waits."""

        async def whatever() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(whatever(), self._running_loop()).result()

    def stop(self) -> None:
        """Cancel what still runs on the loop, and end it."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        # A coroutine that blocks the loop must not block the stop.
        thread.join(_LONGEST_STOP_S)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="worker-asyncio", daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        # The runner's end cancels what is left, closes async generators and the loop.
        runner.get_loop().run_forever()
