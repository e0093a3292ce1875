"""How near do tasks that only sleep come to the ideal where there is no queue at all?

In as many places as a worker has: each asyncio task sleeps and makes the next one, for a queue's tasks have one each;
each thread sleeps again and again. What is missing is what timers, wake-ups and this machine take.
"""

from __future__ import annotations

import asyncio
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING

from benchmarks.peers.contestants import OUR_COROUTINES, OUR_THREADS
from benchmarks.peers.figures import NAPS_MS

if TYPE_CHECKING:
    from collections.abc import Callable


def naps(seconds: float) -> dict[str, float]:
    """Return which part of the ideal is reached, %, each measured for so long."""
    kinds: dict[str, tuple[Callable[[int, float, float], int], int]] = {
        "threads": (in_threads, OUR_THREADS.in_flight_asleep),
        "coroutines": (in_coroutines, OUR_COROUTINES.in_flight_asleep),
    }
    figures = {}
    for name, (run, places) in kinds.items():
        for ms in NAPS_MS:
            began_s = time.perf_counter()
            number = run(places, ms / 1000, seconds)
            ideal = places * (time.perf_counter() - began_s) * 1000 / ms
            figures[f"nap_{name}_{ms}"] = number / ideal * 100
    return figures


def in_threads(places: int, nap_s: float, seconds: float) -> int:
    """Return how many naps threads have taken."""
    taken = [0] * places
    ends_at = time.perf_counter() + seconds

    def work(place: int) -> None:
        while time.perf_counter() < ends_at:
            time.sleep(nap_s)
            taken[place] += 1

    threads = [threading.Thread(target=work, args=(place,)) for place in range(places)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(taken)


def in_coroutines(places: int, nap_s: float, seconds: float) -> int:
    """Return how many naps asyncio tasks have taken, on a loop of uvloop's."""
    taken, awake = 0, 0

    async def take_turns() -> None:
        loop = asyncio.get_running_loop()
        ends_at = time.perf_counter() + seconds
        is_over = asyncio.Event()

        async def nap() -> None:
            nonlocal taken, awake
            await asyncio.sleep(nap_s)
            taken += 1
            if time.perf_counter() < ends_at:
                loop.create_task(nap())  # noqa: RUF006 - the timer keeps it
            elif (awake := awake + 1) == places:
                is_over.set()

        for _ in range(places):
            loop.create_task(nap())  # noqa: RUF006 - as above
        await is_over.wait()

    with asyncio.Runner(loop_factory=import_module("uvloop").new_event_loop) as runner:
        runner.run(take_turns())
    return taken
