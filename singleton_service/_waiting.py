"""Waiting for somebody else, in a thread or in a task."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from ._operations import Operation, waiting

__all__ = ["Wait", "wait_awaiting", "wait_here", "wait_in_loop"]

PATIENCE_S = 10.0
"""How long a plain call waits for somebody else's start without saying so."""
LOOK_EVERY_S = 0.05
"""How often a coroutine that waits for a thread's event looks at it."""


class Wait:
    """Somebody else is at it; wait for them within a ``with`` block, then look again."""

    __slots__ = ("_entered", "operation")

    def __init__(self, operation: Operation, entered: waiting) -> None:
        self.operation = operation
        self._entered = entered

    def __enter__(self) -> None:
        """Nothing: the wait was recorded under the lock, when it was decided."""

    def __exit__(self, *_exc: object) -> None:
        self._entered.__exit__()


def wait_here(operation: Operation) -> None:
    """Block this thread until *operation* is done."""
    finished = threading.Event()
    operation.when_done(finished.set)
    if not finished.wait(PATIENCE_S):
        _say_what_is_waited_for(operation)
        finished.wait()


def _say_what_is_waited_for(operation: Operation) -> None:
    # A hook that waits for a thread of its own that calls the service looks like this: no one can
    # tell such a thread from any other, so the least we can do is to say where to look.
    from ._log import logger  # noqa: PLC0415 - rarely reached

    name = operation.service.__name__ if operation.service is not None else "the services"
    logger().warning(
        "still waiting for the %s() of %s after %g s. If that hook waits for a thread which calls %s, they wait "
        "for each other.",
        operation.phase.value,
        name,
        PATIENCE_S,
        name,
    )


async def wait_awaiting(operation: Operation, loop: AbstractEventLoop) -> None:
    """Await the end of *operation* on the running *loop*."""
    finished: Future[None] = loop.create_future()

    def deliver() -> None:
        if not finished.done():
            finished.set_result(None)

    def wake() -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile; nobody waits any more
            loop.call_soon_threadsafe(deliver)

    operation.when_done(wake)
    await finished


async def wait_in_loop(event: threading.Event, within_s: float) -> bool:
    """Do what ``event.wait(within_s)`` does without blocking the event loop."""
    import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

    deadline = time.monotonic() + within_s
    while not event.is_set():
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            return False
        await asyncio.sleep(min(LOOK_EVERY_S, remaining_s))
    return True
