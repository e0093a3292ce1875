"""Workers that die, stop, or can't say that they live."""

from __future__ import annotations

import functools
import os
import signal
from typing import TYPE_CHECKING

from tests.faults.journal import now_s
from tests.faults.producer import Order
from tests.faults.rig import READY_AGAIN, REFUSED, RUNNING_AGAIN
from tests.faults.servers import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig

_START_S = 3.0
_SUPERVISED_S = 0.2


def workers_killed(rig: Rig) -> None:
    """kill -9 of workers, of both kinds, while they hold tasks."""
    rig.plain_server()
    threads = rig.size.many_threads
    victims = [*rig.workers(3, threads), *rig.workers(1, threads, loop=True)]
    pause_s = 0.7
    rig.load(rig.size.rounds * (pause_s + 1) + rig.size.recovery_s + 1, threads=4 * threads)
    rig.until_ended(10)
    held: list[tuple[float, str, dict[int, float]]] = []
    for n in range(rig.size.rounds):
        rig.sleep(pause_s)
        # Last first, so that a loop of one's own is among them however few rounds there are.
        victim = victims[-1 - n % len(victims)]
        with rig.fault():
            killed_at_s = victim.kill()
        held.append((killed_at_s, victim.who, rig.begun_by(victim.who)))
        victims[-1 - n % len(victims)] = rig.workers(1, threads, loop=victim.who.startswith("loop"))[0]
    rig.drain()
    rig.bite("kills", len(held), rig.size.rounds)
    rig.bite("held when killed", min(len(tasks) for _, _, tasks in held))
    rig.bite("recovered tasks", rig.stats()["tasks_recovered"])
    slowest_s = max(_begun_again_after_s(rig, *kill) for kill in held)
    rig.figure(READY_AGAIN, slowest_s)
    rig.check(slowest_s <= rig.size.recovery_s, f"a dead worker's tasks ran again after {slowest_s:.2f} s")
    rig.judge()
    rig.watch_stalls()


def _begun_again_after_s(rig: Rig, killed_at_s: float, who: str, held: dict[int, float]) -> float:
    """Return how long after its kill the last of a worker's tasks ran elsewhere; what was acknowledged need not."""
    again: dict[int, float] = {}
    for entry in rig.journals.entries("begin"):
        number = entry.fields[0]
        if entry.who != who and number in held and entry.at_s > killed_at_s:
            again.setdefault(number, entry.at_s - killed_at_s)
    return max(again.values(), default=0.0)


def supervised_workers_killed(rig: Rig) -> None:
    """kill -9 of workers that have a supervisor: it sees them dead, and their tasks run again at once."""
    rig.plain_server()
    threads = rig.size.many_threads
    rig.supervised(threads)
    kills, pause_s = 3 * rig.size.rounds, 0.7
    # A quarter of what they could do: what has to wait behind others would tell nothing.
    rig.load(kills * (pause_s + 0.5), threads=2 * threads)
    rig.until_ended(10)
    held: list[tuple[float, str, dict[int, float]]] = []
    for n in range(kills):
        rig.sleep(pause_s)
        wait_for(functools.partial(rig.has_children, 4 + n), "a worker in the place of the dead one")
        # The oldest each time, so that each has served for a while.
        victim = rig.children()[n]
        with rig.fault():
            killed_at_s = now_s()
            os.kill(victim, signal.SIGKILL)
        held.append((killed_at_s, f"child-{victim}", rig.begun_by(f"child-{victim}")))
    rig.faults.clear()
    rig.drain()
    rig.bite("kills", len(held), kills)
    rig.bite("held when killed", sum(len(tasks) for _, _, tasks in held), kills // 2)
    rig.bite("recovered tasks", rig.stats()["tasks_recovered"])
    slowest_s = max(_begun_again_after_s(rig, *kill) for kill in held)
    rig.figure(RUNNING_AGAIN, slowest_s)
    rig.check(slowest_s <= _SUPERVISED_S, f"a dead worker's tasks ran again after {slowest_s:.3f} s")
    rig.judge()
    # The others go on throughout: the fault is no excuse for a stall.
    rig.watch_stalls()


def workers_stopped(rig: Rig) -> None:
    """SIGSTOP of workers for longer than their lease; awake again they find that they were given up."""
    rig.plain_server()
    threads = rig.size.many_threads
    sleepers = [*rig.workers(1, threads), *rig.workers(1, threads, loop=True)]
    rig.workers(2, threads)
    stopped_s = rig.size.recovery_s + 0.5
    rig.load(stopped_s + 3, threads=4 * threads)
    rig.until_ended(20)
    with rig.fault():
        held = 0
        for sleeper in sleepers:
            wait_for(functools.partial(rig.begun_by, sleeper.who), "tasks to hold")
            sleeper.send(signal.SIGSTOP)
            held += len(rig.begun_by(sleeper.who))
        rig.sleep(stopped_s)
        for sleeper in sleepers:
            sleeper.send(signal.SIGCONT)
    # The others go on throughout: the fault is no excuse for a stall.
    rig.faults.clear()
    rig.drain()
    rig.bite("held when stopped", held)
    rig.bite("recovered tasks", rig.stats()["tasks_recovered"])
    refused_loops = sum(not entry.fields[1] for entry in rig.journals.entries("settled"))
    rig.bite("late ends refused", rig.warnings(REFUSED) + refused_loops)
    rig.judge()
    rig.watch_stalls()


def only_the_heartbeat_blocked(rig: Rig) -> None:
    """A worker whose heartbeats vanish while all else of it comes through: it loses its long tasks, and knows it."""
    rig.plain_server()
    line = rig.proxy()
    (mute,) = rig.workers(1, threads=2, via=line)
    # Time for the others to start, and to see that the lease is over.
    long_ms = 1000 * (rig.size.recovery_s + _START_S)
    rig.producers(Order("", 0, 2, longest_ms=0, most=1, own_ids=0, least_ms=long_ms), number=1)
    wait_for(lambda: len(rig.begun_by(mute.who)) == 2, "both long tasks")
    line.block("heartbeat")
    rig.workers(2)
    rig.load(rig.size.lease_s + 3)
    with rig.fault():
        wait_for(lambda: not rig.begun_by(mute.who), "the end of the long tasks", 3 * rig.size.recovery_s)
        rig.sleep(1)
    line.calm()
    rig.faults.clear()
    rig.drain(2 * long_ms / 1000 + 30)
    rig.bite("heartbeats blocked", line.bites["blocked heartbeat"], 2)
    rig.bite("recovered tasks", rig.stats()["tasks_recovered"], 2)
    # By the mute worker: if another's end is refused, the mute one's has counted.
    refused = rig.warnings(REFUSED, mute.who)
    rig.figure("late ends refused", refused)
    rig.check(refused >= 2, f"{2 - refused} ends under a lost lease counted")
    rig.judge()
    rig.watch_stalls()


def poison(rig: Rig) -> None:
    """One task that kills its worker each time, among many that do not."""
    rig.plain_server()
    crew = rig.workers(3)
    rig.load(3 * rig.size.recovery_s)
    rig.until_ended(20)
    # One that was fetched ahead and kills within a millisecond takes the word of its start with it, and is not counted.
    rig.producers(Order("", 0, 1, own_ids=0, name="crash", least_ms=50), number=1)
    kills = 0
    with rig.fault():
        while rig.stats()["failed_tasks"] == 0:
            dead = [worker for worker in crew if worker.process.poll() is not None]
            for worker in dead:
                kills += 1
                crew.remove(worker)
                crew += rig.workers(1)
            rig.check(kills <= 3, f"the poisonous task killed {kills} workers")
            if kills > 3:
                return
            rig.sleep(0.05)
    rig.faults.clear()
    rig.drain()
    rig.bite("crashes", rig.journals.count("crash"), 3)
    rig.check(rig.journals.count("crash") == 3, "it was to be buried at its third crash")
    verdict = rig.judge()
    rig.check(verdict.failed == 1, f"{verdict.failed} tasks failed, it should be the poisonous one alone")
    rig.check(verdict.retries == 0, "a crash used up a retry")
    rig.watch_stalls()


def terminated(rig: Rig) -> None:
    """TERM while tasks run and others wait in the process: the first end in peace, the others go on elsewhere."""
    rig.plain_server()
    line = rig.proxy()
    crew = rig.workers(3, via=line)
    seconds = rig.size.rounds * 1.5 + 2
    # More than they can do, so that each holds tasks ready beyond those that run.
    rig.load(seconds, threads=36, most=50)
    rig.until_ended(30)
    running = left_over = 0
    for n in range(rig.size.rounds):
        rig.sleep(0.7)
        leaver = crew[n % len(crew)]
        with rig.fault():
            leaver.send(signal.SIGTERM)
            running += len(rig.begun_by(leaver.who))
            leaver.process.wait(60)
        rig.check(leaver.process.returncode == 0, f"{leaver.who} ended with {leaver.process.returncode}")
        left_over += len(rig.begun_by(leaver.who))
        crew[n % len(crew)] = rig.workers(1, via=line)[0]
    rig.faults.clear()
    rig.drain()
    rig.bite("running at TERM", running, rig.size.rounds)
    rig.bite("times some were handed back", line.seen["release"])
    rig.check(left_over == 0, f"{left_over} running tasks were cut off")
    verdict = rig.judge()
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice though every worker left well")
    rig.check(verdict.retries == 0, "a stop counted as a failed attempt")
    rig.check(rig.stats()["tasks_recovered"] == 0, "a worker that left well was taken for dead")
    rig.watch_stalls()


def rolling_restart(rig: Rig) -> None:
    """A deploy: four workers, each told to leave and followed by a new one, while clients enqueue and wait."""
    rig.plain_server()
    crew = rig.workers(4)
    rig.load(4 * _START_S, threads=16, tasks=rig.size.tasks * 9 // 10)
    # One task after the other, whose result is waited for.
    rig.producers(Order("", 0, rig.size.tasks // 10, longest_ms=50, most=1, wait_s=10), number=1)
    rig.until_ended(10)
    held = left_over = 0
    for n, leaver in enumerate(list(crew)):
        held += len(rig.begun_by(leaver.who))
        leaver.send(signal.SIGTERM)
        # Not before it is gone: at one time there are three of them.
        leaver.process.wait(60)
        rig.check(leaver.process.returncode == 0, f"{leaver.who} ended with {leaver.process.returncode}")
        left_over += len(rig.begun_by(leaver.who))
        crew[n] = rig.workers(1)[0]
    acknowledged = rig.journals.count("ack")
    rig.drain()
    rig.bite("calls after the last one", rig.journals.count("ack") - acknowledged)
    rig.bite("workers replaced", sum(worker.process.poll() is None for worker in crew), 4)
    rig.bite("running at TERM", held)
    rig.check(left_over == 0, f"{left_over} running tasks were cut off")
    verdict = rig.judge()
    rig.check(verdict.unknown == 0, f"{verdict.unknown} tasks were refused or in doubt: clients saw errors")
    stuck = rig.journals.count("stuck")
    rig.check(stuck == 0, f"{stuck} clients waited for their result in vain")
    rig.check(verdict.duplicated_runs == 0, f"{verdict.duplicated_runs} tasks ran twice though every worker left well")
    rig.check(verdict.failed == verdict.retries == 0, "a stop counted as a failed attempt")
    rig.check(rig.stats()["tasks_recovered"] == 0, "a worker that left well was taken for dead")
    # Nothing was broken, so that nothing excuses a second without an end.
    rig.watch_stalls()
