"""Those who wait for one task: in a thread, or in an event loop."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from .errors import stopped_meanwhile

if TYPE_CHECKING:
    from .results import EndingWatch


class Heard(NamedTuple):
    """What a waiter was told since it last asked.

    Attributes:
        note: the latest progress note.
        is_news: whether the task may have ended, or nobody can say: look at it.
    """

    note: bytes | None
    is_news: bool


class Waiter:
    """One who waits, from entering the block to leaving it. Told in the watch's thread; waits in one of its own.

    Attributes:
        wants_progress: whether to be told of progress, beside the end.
    """

    def __init__(self, watch: EndingWatch, queue: str, uid: str, *, wants_progress: bool) -> None:
        self.key = (queue, uid)
        self.wants_progress = wants_progress
        self._watch = watch
        self._note: bytes | None = None
        self._is_news = False

    def __enter__(self) -> Self:
        """Be told from now on.

        Raises:
            QueueUnavailableError: the service was stopped.
        """
        self._watch.add(self)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._watch.remove(self)

    def tell(self, note: bytes | None = None) -> None:
        """Tell of progress or, without a note, that it is time to look."""
        if note is None:
            self._is_news = True
        else:
            self._note = note
        self._wake()

    def _wake(self) -> None:
        raise NotImplementedError

    def _heard(self) -> Heard:
        if self._watch.is_stopped:
            raise stopped_meanwhile()
        note, self._note = self._note, None
        is_news, self._is_news = self._is_news, False
        return Heard(note, is_news)


class ThreadWaiter(Waiter):
    """A thread that waits."""

    def __init__(self, watch: EndingWatch, queue: str, uid: str, *, wants_progress: bool) -> None:
        super().__init__(watch, queue, uid, wants_progress=wants_progress)
        self._event = threading.Event()

    def wait(self, timeout_s: float) -> Heard:
        """Wait to be told, at most *timeout_s*.

        Raises:
            QueueUnavailableError: the service was stopped meanwhile.
        """
        self._event.wait(None if timeout_s == float("inf") else timeout_s)
        # Cleared before it is read: what comes in between is heard now, and again.
        self._event.clear()
        return self._heard()

    def _wake(self) -> None:
        self._event.set()


class LoopWaiter(Waiter):
    """A coroutine that waits; made in its event loop."""

    def __init__(self, watch: EndingWatch, queue: str, uid: str, *, wants_progress: bool) -> None:
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        super().__init__(watch, queue, uid, wants_progress=wants_progress)
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    async def wait(self, timeout_s: float) -> Heard:
        """Wait to be told, at most *timeout_s*.

        Raises:
            QueueUnavailableError: the service was stopped meanwhile.
        """
        import asyncio  # noqa: PLC0415 - there is a running loop, so it is loaded

        with suppress(TimeoutError):
            async with asyncio.timeout(None if timeout_s == float("inf") else timeout_s):
                await self._event.wait()
        self._event.clear()
        return self._heard()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop was closed; nobody waits any more
            self._loop.call_soon_threadsafe(self._event.set)
