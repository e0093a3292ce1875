"""Servers that hang, throw clients out, forget scripts, and are full."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import redis

from tests.faults.producer import Order
from tests.faults.servers import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig


# Connections and scripts take some of it, too.
_ROOM_BYTES = 8 << 20


def server_stopped(rig: Rig) -> None:
    """SIGSTOP of the server, for longer than a lease: when it goes on all leases are over."""
    server = rig.plain_server()
    rig.workers(3)
    stopped_s = rig.size.lease_s + 1
    rig.load(stopped_s + 4)
    rig.until_ended(20)
    with rig.fault():
        server.send(signal.SIGSTOP)
        rig.sleep(stopped_s)
        server.send(signal.SIGCONT)
    rig.drain()
    rig.bite("enqueues that did not know", rig.journals.count("unknown"))
    rig.judge()
    rig.watch_stalls()


def clients_killed(rig: Rig) -> None:
    """CLIENT KILL of every connection, every 50 ms."""
    server = rig.plain_server()
    rig.workers(3)
    seconds = 4
    rig.load(seconds)
    rig.until_ended(10)
    killed = 0
    for _ in range(20 * seconds):
        killed += server.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        rig.sleep(0.05)
    rig.drain()
    rig.bite("connections killed", killed, 100)
    rig.judge()
    rig.watch_stalls()


def clients_paused(rig: Rig) -> None:
    """CLIENT PAUSE: for moments, and once for longer than a lease."""
    server = rig.plain_server()
    rig.workers(3)
    pauses_s = [0.3, 0.3, 0.3, rig.size.lease_s + 0.5]
    rig.load(sum(pauses_s) + 5)
    rig.until_ended(10)
    for pause_s in pauses_s:
        with rig.fault():
            server.admin.execute_command("CLIENT", "PAUSE", round(1000 * pause_s), "ALL")
            rig.sleep(pause_s)
        rig.sleep(0.7)
    rig.drain()
    quiet_s = [_quiet_s(rig, fault.began_s, fault.ended_s) for fault in rig.faults]
    rig.bite("pauses in which nothing ended for most of it", sum(quiet > 0.1 for quiet in quiet_s), len(pauses_s))
    rig.judge()
    rig.watch_stalls()


def _quiet_s(rig: Rig, from_s: float, to_s: float) -> float:
    """Return how long before the end of that time the last acknowledgement came."""
    return to_s - max((e.at_s for e in rig.journals.entries("ack") if from_s < e.at_s < to_s), default=from_s)


def scripts_flushed(rig: Rig) -> None:
    """SCRIPT FLUSH every 50 ms."""
    server = rig.plain_server()
    rig.workers(3)
    seconds = 4
    rig.load(seconds)
    flushed = 0
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        flushed += server.admin.info("memory")["number_of_cached_scripts"] > 0
        server.admin.script_flush()
        rig.sleep(0.05)
    rig.drain()
    rig.bite("flushes that took scripts", flushed, 20)
    rig.bite("answers NOSCRIPT", int(_errors(server.admin, "NOSCRIPT")), 20)
    verdict = rig.judge()
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice")
    rig.watch_stalls()


def _errors(admin: Any, word: str) -> int:
    found = admin.info("errorstats").get(f"errorstat_{word}", {"count": 0})
    return int(found["count"])


def server_full(rig: Rig) -> None:
    """Filled until it refuses, then drained while it is full; workers come only when it is."""
    server = rig.plain_server()
    used = server.admin.info("memory")["used_memory"]
    server.admin.config_set("maxmemory", used + _ROOM_BYTES)
    # Half as much again as there is room for.
    order = Order("", 0, rig.size.tasks, own_ids=0, fewest=20, most=100, longest_ms=1)
    rig.producers(replace(order, padding=3 * _ROOM_BYTES // (2 * rig.size.tasks)))
    wait_for(lambda: rig.journals.count("unknown") >= 3, "refused enqueues")
    wait_for(lambda: rig.journals.count("done") == 2, "the producers' end", 120)
    refused = [entry for entry in rig.journals.entries("unknown") if "maxmemory" in entry.fields[1]]
    # Smaller than what it holds, so that it stays full to the last task.
    server.admin.config_set("maxmemory", used)
    rig.workers(3)
    rig.drain()
    still_full = False
    try:
        server.admin.set("a", "b")
    except redis.OutOfMemoryError:
        still_full = True
    rig.bite("calls refused", len(refused), 3)
    rig.bite("answers OOM", _errors(server.admin, "OOM"), 3)
    rig.bite("still full when drained", still_full)
    verdict = rig.judge()
    rig.bite("acknowledged before it was full", verdict.acknowledged, 100)
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice")
    server.admin.config_set("maxmemory", 0)
    before = rig.journals.count("end")
    rig.producers(Order("", 0, 20, own_ids=0), number=1)
    rig.drain()
    rig.check(rig.journals.count("end") == before + 20, "with room again it does not go on")
