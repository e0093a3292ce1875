"""Lines to the server that lose, hold and delay what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.rig import REFUSED

if TYPE_CHECKING:
    from tests.faults.rig import Rig

_HANDED_BACK = "whose lease got lost on the way here"


def enqueue_answers_lost(rig: Rig) -> None:
    """Every third enqueue is carried out and its answer lost: asked again it adds nothing."""
    rig.plain_server()
    line = rig.proxy()
    rig.workers(3)
    line.drop_answers("enqueue", 0.35)
    rig.load(3, via=line, most=rig.size.tasks // 60)
    rig.drain()
    rig.bite("answers lost", line.bites["dropped enqueue"], 20)
    verdict = rig.judge()
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice")
    rig.watch_stalls()


def fetch_answers_lost(rig: Rig) -> None:
    """Fetches whose answer never comes: the tasks they leased, which nobody knows of, are handed back."""
    rig.plain_server()
    line = rig.proxy()
    rig.workers(2, via=line)
    rig.workers(1, via=line, loop=True)
    seconds = 3 * rig.size.beat_s + 3
    line.drop_answers("fetch", 0.1)
    rig.load(seconds)
    rig.sleep(seconds)
    line.calm()
    rig.drain()
    rig.bite("answers lost", line.bites["dropped fetch"], 10)
    rig.bite("times leases were handed back", rig.warnings(_HANDED_BACK))
    verdict = rig.judge()
    rig.check(rig.stats()["tasks_recovered"] == 0, "a worker was taken for dead")
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice")
    rig.watch_stalls()


def acknowledge_answers_lost(rig: Rig) -> None:
    """Ends that were taken note of and whose answer was lost: said again they count once, and nothing runs again."""
    rig.plain_server()
    line = rig.proxy()
    rig.workers(2, via=line)
    rig.workers(1, via=line, loop=True)
    line.drop_answers("complete", 0.1)
    rig.load(4)
    rig.sleep(4)
    line.calm()
    rig.drain()
    rig.bite("answers lost", line.bites["dropped complete"], 10)
    refused = rig.warnings(REFUSED)
    rig.check(refused == 0, f"{refused} ends that counted were called refused")
    verdict = rig.judge()
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice")
    rig.watch_stalls()


def black_hole(rig: Rig) -> None:
    """Nothing comes through for less than a lease, then for longer; what was sent meanwhile comes late."""
    rig.plain_server()
    line = rig.proxy()
    rig.workers(3, via=line)
    holes_s = [rig.size.lease_s / 2, rig.size.lease_s + 1]
    rig.load(sum(holes_s) + 5, via=line)
    rig.until_ended(20)
    for hole_s in holes_s:
        with rig.fault():
            line.hold()
            rig.sleep(hole_s)
            line.calm()
        rig.sleep(1.5)
    rig.drain()
    rig.bite("holes", line.bites["held"], 2)
    verdict = rig.judge()
    rig.bite("tasks whose enqueue did not know", verdict.unknown)
    rig.watch_stalls()


def half_open(rig: Rig) -> None:
    """The other side of every connection goes without a word; new connections are good."""
    rig.plain_server()
    line = rig.proxy()
    rig.workers(3, via=line)
    rig.load(6 + 3 * rig.size.rounds, via=line)
    rig.until_ended(20)
    for _ in range(rig.size.rounds):
        with rig.fault():
            line.forget()
        rig.sleep(3)
    rig.drain()
    rig.bite("connections forgotten", line.bites["forgotten"], 10 * rig.size.rounds)
    rig.judge()
    rig.watch_stalls()


def cut_and_slow(rig: Rig) -> None:
    """Everything takes 5 to 50 ms longer, and all connections are reset again and again."""
    rig.plain_server()
    line = rig.proxy()
    rig.workers(3, threads=8, via=line)
    line.delay(0.005, 0.05)
    seconds = 6
    # Few calls for many tasks, for each takes its time.
    rig.load(seconds, via=line, most=rig.size.tasks // 60)
    rig.until_ended(10)
    for _ in range(4 * seconds):
        rig.sleep(0.25)
        line.cut()
    rig.drain()
    line.calm()
    rig.bite("delays", line.bites["delayed"], 100)
    rig.bite("connections cut", line.bites["cut"], 50)
    rig.judge()
    rig.watch_stalls()
