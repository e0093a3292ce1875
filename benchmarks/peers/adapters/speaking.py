"""What the harness and an adapter say to each other: a JSON object a line, an order and its answer.

An adapter is a module with these names, imported in the environment of its peer:

    SETTINGS        a sentence or two: what is set, and why that is the peer's own fast path
    PACKAGES        the distributions whose versions count
    COROUTINES      whether its client is awaited; else it is called, and used from several threads
    enqueue(kind, payload, delay_s)     puts one task in, and returns what its status is asked by
    enqueue_many(kind, payload, number) the same for many, in the peer's own way; None where it has none
    is_finished(handle)                 whether the end of the task can be read, by the peer's own API
    workers(delays)                     the command lines of one worker, and of what else delayed tasks need

All but the last are coroutine functions, those of a plain client without a single `await`: no loop runs beside it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .handlers import PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LOOK_EVERY_S = 0.01
# At the end of a drain those are looked at, and every so many of the last that workers may hold between them.
LAST, TAIL, STEP = 16, 1024, 8
# How long is waited for an end when no other comes: by the clock of the drain, and afterwards.
GRACE_S, LONG_GRACE_S = 1.0, 10.0
BULK = 1000


@dataclass(frozen=True, slots=True)
class Ends:
    """When the last end was seen; how many had not come at the first look, and when the last of those came, or 0."""

    last_s: float
    late: int
    late_s: float


class Producer:
    """Puts tasks in by an adapter, and waits for their ends."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        self.handles: list[Any] = []

    async def describe(self) -> dict[str, Any]:
        """Say what this peer is and how its worker is started."""
        adapter = self.adapter
        return {
            "settings": " ".join(adapter.SETTINGS.split()),
            "versions": {name: version(name) for name in adapter.PACKAGES},
            "in_bulk": adapter.enqueue_many is not None,
            "lines": "coroutines" if adapter.COROUTINES else "threads",
            "workers": adapter.workers(delays=False),
            "workers_with_delays": adapter.workers(delays=True),
        }

    async def one(self, kind: str, subject: str, delay_s: float = 0.0) -> dict[str, Any]:
        """Enqueue one task and say when that was asked for."""
        asked_s = time.monotonic()
        await self.adapter.enqueue(kind, PAYLOAD | {"subject": subject}, delay_s)
        return {"asked_s": asked_s}

    async def enqueue(
        self, kind: str, number: int = 0, seconds: float = 0.0, lines: int = 1, subject: str = PAYLOAD["subject"]
    ) -> dict[str, Any]:
        """Enqueue one at a time, so many or for so long, in so many threads or coroutines at once."""
        payload = PAYLOAD | {"subject": subject}
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        until_s = began_s + seconds if seconds else float("inf")
        shares = [number // lines + (line < number % lines) if number else sys.maxsize for line in range(lines)]
        if self.adapter.COROUTINES:
            kept = await asyncio.gather(*(self._line(kind, payload, share, until_s) for share in shares))
        else:
            kept = in_threads([partial(self._line, kind, payload, share, until_s) for share in shares])
        return self._enqueued([handle for line in kept for handle in line], began_s, began_cpu_s)

    async def _line(self, kind: str, payload: dict[str, Any], share: int, until_s: float) -> list[Any]:
        handles: list[Any] = []
        while len(handles) < share and time.perf_counter() < until_s:
            handles.append(await self.adapter.enqueue(kind, payload, 0.0))
        return handles

    async def enqueue_many(
        self, kind: str, number: int = 0, seconds: float = 0.0, subject: str = PAYLOAD["subject"]
    ) -> dict[str, Any]:
        """Enqueue in bulk, a thousand a call, so many or for so long."""
        payload = PAYLOAD | {"subject": subject}
        handles: list[Any] = []
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        until_s = began_s + seconds if seconds else float("inf")
        while time.perf_counter() < until_s and (not number or len(handles) < number):
            few = min(BULK, number - len(handles)) if number else BULK
            handles += await self.adapter.enqueue_many(kind, payload, few)
        return self._enqueued(handles, began_s, began_cpu_s)

    def _enqueued(self, handles: list[Any], began_s: float, began_cpu_s: float) -> dict[str, Any]:
        seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
        self.handles += handles
        return {"number": len(handles), "seconds": seconds, "cpu_seconds": cpu_s}

    async def wait(self, patience_s: float) -> dict[str, Any]:
        """Say when the status of the last could be read, and of some before them. `check` looks at the others."""
        last, deadline_s, looks = self.handles[-LAST:], time.monotonic() + patience_s, 0
        # Any of them: a peer may lose one.
        while not await self.adapter.is_finished(last[-1 - looks % len(last)]):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"none of the last of {len(self.handles)} tasks ended within {patience_s:.0f} s")
            looks += 1
            await self._pause()
        ends = await self._ends([*last, *self.handles[-TAIL::STEP]], GRACE_S)
        return {"ended_s": ends.last_s}

    async def check(self) -> dict[str, Any]:
        """Look at about a thousand and forget all; say how many end later or never, and when the last of them."""
        handles, self.handles = self.handles, []
        some = handles[:: max(1, len(handles) // 1000)]
        ends = await self._ends(some, LONG_GRACE_S)
        return {"late": ends.late, "late_s": ends.late_s, "looked_at": len(some)}

    async def _ends(self, handles: list[Any], grace_s: float) -> Ends:
        """Look at these until all have ended, or none has for a while."""
        last_s, late, late_s = time.monotonic(), 0, 0.0
        is_first = True
        while handles and time.monotonic() - last_s < grace_s:
            waiting = []
            for handle in handles:
                if not await self.adapter.is_finished(handle):
                    waiting.append(handle)
                    continue
                last_s = time.monotonic()
                late_s = late_s if is_first else last_s
            late = len(waiting) if is_first else late
            handles, is_first = waiting, False
            if handles:
                await self._pause()
        return Ends(last_s, late, late_s)

    async def _pause(self) -> None:
        if self.adapter.COROUTINES:
            await asyncio.sleep(LOOK_EVERY_S)
        else:
            time.sleep(LOOK_EVERY_S)  # noqa: ASYNC251 - no loop runs beside a plain client


def in_threads(calls: list[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Any]:
    """Return what the calls give, each driven in a thread of its own; a single one here."""
    if len(calls) == 1:
        return [driven(calls[0]())]
    given: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda at=at, call=call: given.__setitem__(at, driven(call())))
        for at, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [given[at] for at in range(len(calls))]


def driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that awaits nothing, with no loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("a plain client awaited something")


async def answer(producer: Producer, line: str) -> str:
    """Do what a line asks for."""
    order = json.loads(line)
    try:
        return json.dumps(await getattr(producer, order.pop("do"))(**order))
    except Exception as error:
        return json.dumps({"error": f"{type(error).__name__}: {error}"})


async def serve_coroutines(producer: Producer) -> None:
    """Answer until nobody asks any more."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(await answer(producer, line), flush=True)


def serve(adapter: Any) -> None:
    """Answer orders on stdin until it ends."""
    producer = Producer(adapter)
    if adapter.COROUTINES:
        import uvloop  # noqa: PLC0415 - only where the client is awaited: the same event loop for all

        uvloop.run(serve_coroutines(producer))
        return
    for line in sys.stdin:
        print(driven(answer(producer, line)), flush=True)
