"""Limits, while those who use them up die."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.faults.servers import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig

_MOST, _MOST_PER_KEY, _TENANTS = 6, 2, 4


def limits_under_kills(rig: Rig) -> None:
    """kill -9 of workers while a queue, and each limit key in it, may run only so many: never more, and all ends."""
    rig.plain_server()
    rig.ask(f"limit {_MOST} {_MOST_PER_KEY}")
    crew = rig.workers(3)
    # What a dead worker had counts as running until its lease is over, so a round takes its time.
    seconds = rig.size.rounds * (rig.size.recovery_s + 1) + 2
    rig.load(seconds, threads=_MOST, tenants=_TENANTS)
    rig.until_ended(10)
    seen: list[Counter[str]] = []
    for n in range(rig.size.rounds):
        victim = crew[n % len(crew)]
        seen += _watch(rig, 0.7)
        wait_for(lambda victim=victim: rig.begun_by(victim.who), "a task to hold")  # type: ignore[misc]
        # The dead have the room until they are given up; so long the fault lasts.
        with rig.fault():
            victim.kill()
            crew[n % len(crew)] = rig.workers(1)[0]
            seen += _watch(rig, rig.size.recovery_s)
    rig.drain()
    most = max(running.total() for running in seen)
    most_per_key = max(number for running in seen for number in running.values())
    rig.bite("kills", rig.size.rounds)
    rig.bite("recovered tasks", rig.stats()["tasks_recovered"])
    rig.bite("times the queue was at its limit", sum(running.total() == _MOST for running in seen))
    rig.bite("times a key was at its limit", sum(_MOST_PER_KEY in running.values() for running in seen))
    rig.figure("most running at once", most)
    rig.figure("most of one key", most_per_key)
    rig.check(most <= _MOST, f"{most} tasks ran at once where {_MOST} may")
    rig.check(most_per_key <= _MOST_PER_KEY, f"{most_per_key} tasks of a key ran at once where {_MOST_PER_KEY} may")
    rig.judge()
    rig.watch_stalls()


def _watch(rig: Rig, seconds: float) -> list[Counter[str]]:
    """Return how many ran of each key, by the server, as often as it says within this time."""
    seen = []
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        seen.append(Counter(rig.ask("running") or []))
        rig.sleep(0.02)
    return seen
