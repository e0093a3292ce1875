"""Servers that die under load: what they acknowledged is there when they come back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.faults.journal import now_s
from tests.faults.servers import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig

_BETWEEN_KILLS_S = 1.0
# What `everysec` may take with it.
_EVERYSEC_S = 2.0


def embedded_killed(rig: Rig) -> None:
    """kill -9 of the embedded server as it is by default, again and again."""
    _kill_embedded(rig, "no")


def embedded_always_killed(rig: Rig) -> None:
    """kill -9 of the embedded server with TASKS_EMBEDDED_FSYNC=always."""
    _kill_embedded(rig, "always")


def _kill_embedded(rig: Rig, fsync: str) -> None:
    server = rig.embedded_server(fsync)
    rig.workers(3)
    # A server that dies again and again is started again later and later.
    pauses_s = [_BETWEEN_KILLS_S * (1 + n / 2) for n in range(rig.size.rounds)]
    rig.load(2 * sum(pauses_s) + 3)
    rig.until_ended(10)
    for pause_s in pauses_s:
        rig.sleep(pause_s)
        rig.until_ended(rig.journals.count("end") + 20)
        with rig.fault():
            server.kill()
            wait_for(server.answers, "the embedded server's return")
    rig.drain()
    _died_under_load(rig)
    rig.judge()
    rig.watch_stalls()


def plain_always_killed(rig: Rig) -> None:
    """kill -9 of a server of one's own with appendfsync always, and its return two seconds later."""
    _kill_plain(rig, "always")
    rig.judge()
    rig.watch_stalls()


def plain_everysec_killed(rig: Rig) -> None:
    """kill -9 of a server of one's own with appendfsync everysec: what it loses is counted, and is young."""
    kills_s = _kill_plain(rig, "everysec")
    verdict = rig.judge(bears={"lost", "forgotten"})
    acknowledged_at_s = {n: e.at_s for e in rig.journals.entries("ack") for n in e.fields[0]}
    rig.figure("lost", len(verdict.lost))
    # How long before the next kill each was acknowledged.
    ages_s = [min(kill - acknowledged_at_s[n] for kill in kills_s if kill > acknowledged_at_s[n]) for n in verdict.lost]
    rig.figure("oldest lost s", max(ages_s, default=0.0))
    rig.check(
        max(ages_s, default=0) <= _EVERYSEC_S, f"lost what was acknowledged {max(ages_s, default=0):.1f} s before"
    )
    rig.watch_stalls()


def _kill_plain(rig: Rig, fsync: str) -> list[float]:
    server = rig.plain_server(fsync)
    rig.workers(3)
    away_s = 2.0
    rig.load(rig.size.rounds * (_BETWEEN_KILLS_S + away_s) + 3 * rig.size.lease_s + 2)
    rig.until_ended(10)
    kills_s = []
    for n in range(rig.size.rounds):
        rig.sleep(_BETWEEN_KILLS_S)
        rig.until_ended(rig.journals.count("end") + 20)
        if n == rig.size.rounds - 1:
            # Long enough for everybody to have become patient.
            away_s = 3 * rig.size.lease_s
        with rig.fault():
            kills_s.append(now_s())
            server.kill()
            time.sleep(away_s)
            server.start()
    rig.drain()
    _died_under_load(rig)
    return kills_s


def _died_under_load(rig: Rig) -> None:
    acknowledged = [entry.at_s for entry in rig.journals.entries("ack", "end")]
    busy = [any(fault.began_s - 0.2 < at_s < fault.began_s for at_s in acknowledged) for fault in rig.faults]
    rig.bite("kills under load", sum(busy), rig.size.rounds)
    rig.figure("enqueues that did not know", rig.journals.count("unknown"))
