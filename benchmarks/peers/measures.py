"""What is measured: each group of measures in sessions of its own, so that none inherits another's leavings."""

from __future__ import annotations

import os
import random
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .figures import NAPS_MS, percentile
from .process_tree import machine_busy_seconds
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .contestants import Contestant

Figures = dict[str, float]
# A drain does not wait for so few that a peer puts off or loses; they are counted.
STRAGGLERS = 0.01


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done for one figure.

    Attributes:
        seconds: how long an enqueue goes on, and about how long tasks that sleep take.
        warm_s: how long an enqueue goes on before it counts.
        drain_s: about how long a drain takes.
        at_least, at_most: how many tasks a drain has.
        samples: single tasks timed for the pick-up, at most as many as `samples_s` allows.
        delayed: tasks with a delay.
        settle_s, idle_s: how long idle workers are left alone, and then watched.
        many: tasks after which memory is looked at.
        depths: how many are queued where it is asked what a task costs.
        watched_s: how long is waited for tasks whose worker was killed.
        is_durable: whether the servers write an append-only file.
    """

    seconds: float = 1.5
    warm_s: float = 0.3
    drain_s: float = 2.5
    at_least: int = 200
    at_most: int = 100_000
    samples: int = 200
    samples_s: float = 10.0
    delayed: int = 40
    settle_s: float = 5.0
    idle_s: float = 20.0
    many: int = 20_000
    depths: tuple[int, ...] = (10, 1000, 100_000, 1_000_000)
    watched_s: float = 90.0
    is_durable: bool = False


TINY = Sizes(
    seconds=0.2,
    warm_s=0.05,
    drain_s=0.2,
    at_most=300,
    samples=20,
    samples_s=5.0,
    delayed=5,
    settle_s=0.5,
    idle_s=2.0,
    many=400,
    depths=(10, 1000),
    watched_s=20.0,
)


def enqueue(contestant: Contestant, sizes: Sizes) -> Figures:
    """An enqueue counts when its answer is read."""
    with Session(contestant, is_durable=sizes.is_durable) as session:
        session.ask("enqueue", kind="send_email", seconds=sizes.warm_s)
        one = session.ask("enqueue", kind="send_email", seconds=sizes.seconds)
        session.ask("enqueue", kind="send_email", seconds=sizes.warm_s, lines=8)
        eight = session.ask("enqueue", kind="send_email", seconds=sizes.seconds, lines=8)
        figures = {
            "enqueue_one": one["number"] / one["seconds"],
            "enqueue_cpu": one["cpu_seconds"] / one["number"] * 1e6,
            f"enqueue_{session.described['lines']}": eight["number"] / eight["seconds"],
        }
        if session.described["in_bulk"]:
            session.ask("enqueue_many", kind="send_email", seconds=sizes.warm_s)
            bulk = session.ask("enqueue_many", kind="send_email", seconds=sizes.seconds)
            figures["enqueue_bulk"] = bulk["number"] / bulk["seconds"]
    return figures


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of a full queue.

    Attributes:
        seconds: from the first task of a worker process to the last readable status; their mean, if there are several.
        cpu_s: processor time that the workers took for it.
        late: which part of those looked at ended after the last ones, or never.
        busy: which part of the machine's cores was taken meanwhile, by whomever.
    """

    number: int
    seconds: float
    cpu_s: float
    late: float
    busy: float

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.number / self.seconds


def drained(session: Session, number: int, workers: int = 1, *, kind: str = "send_email", **more: object) -> Drained:
    """Fill a queue, start workers, and wait until all of it has ended.

    The clock of each process starts with its own first task: how long a start takes is another measure.
    """
    session.put_in(number, kind, **more)
    for _ in range(workers):
        session.start_worker()
    session.wait_for("first task", lambda: bool(session.stamps("first")))
    began_s, began_busy_s = time.monotonic(), machine_busy_seconds()
    began_cpu_s = session.cpu_seconds()
    ended_s = session.ask("wait", patience_s=600.0)["ended_s"]
    cpu_s = session.cpu_seconds() - began_cpu_s
    busy = (machine_busy_seconds() - began_busy_s) / (time.monotonic() - began_s) / (os.cpu_count() or 1)
    checked = session.ask("check")
    late = checked["late"] / checked["looked_at"]
    if late > STRAGGLERS:
        ended_s = max(ended_s, checked["late_s"])
    seconds = ended_s - statistics.mean(stamp.at_s for stamp in session.stamps("first"))
    return Drained(number, seconds, cpu_s, late, busy)


def drain(contestant: Contestant, sizes: Sizes) -> Figures:
    """A drain ends when the last status can be read."""
    number = _as_many_as_fit(contestant, sizes)
    with Session(contestant, is_durable=sizes.is_durable) as session:
        one = drained(session, number)
    with Session(contestant, is_durable=sizes.is_durable) as session:
        two = drained(session, number, workers=2)
    return {
        "drain_one": one.rate,
        "drain_two": two.rate,
        "drain_two_busy": two.busy * 100,
        "worker_cpu": one.cpu_s / number * 1e6,
        "drain_late": (one.late + two.late) / 2 * 1000,
    }


_rates: dict[tuple[Contestant, bool], float] = {}


def _rate(contestant: Contestant, sizes: Sizes) -> float:
    """Return about how many tasks a second one worker does, from drains that grow until they take a moment."""
    key = contestant, sizes.is_durable
    number = sizes.at_least
    while key not in _rates:
        with Session(contestant, is_durable=sizes.is_durable) as session:
            rough = drained(session, number)
        if rough.seconds > sizes.drain_s / 6 or number >= sizes.at_most:
            _rates[key] = rough.rate
        number = min(number * 10, sizes.at_most)
    return _rates[key]


def _as_many_as_fit(contestant: Contestant, sizes: Sizes) -> int:
    return round(min(max(_rate(contestant, sizes) * sizes.drain_s, sizes.at_least), sizes.at_most))


def latency(contestant: Contestant, sizes: Sizes) -> Figures:
    """An idle worker: how soon it begins what comes, and how late what is due then."""
    with Session(contestant, is_durable=sizes.is_durable) as session:
        session.start_worker(delays=True)
        for at in range(10):
            session.ask("one", kind="note", subject=f"warm-{at}")
            session.ran(f"warm-{at}")
        waits_ms: list[float] = []
        until_s = time.monotonic() + sizes.samples_s
        while len(waits_ms) < sizes.samples and time.monotonic() < until_s:
            time.sleep(random.uniform(0.005, 0.030))  # until it sleeps, and never in step with anything
            key = f"idle-{len(waits_ms)}"
            asked_s = session.ask("one", kind="note", subject=key)["asked_s"]
            waits_ms.append((session.ran(key) - asked_s) * 1000)
        figures = {"pick_up_p50": statistics.median(waits_ms), "pick_up_p99": percentile(waits_ms, 99)}
        late_ms = _lateness_ms(session, sizes.delayed)
        return figures | {"late_p50": statistics.median(late_ms), "late_p99": percentile(late_ms, 99)}


def _lateness_ms(session: Session, number: int) -> list[float]:
    """Return how late tasks began whose time came while the worker was idle."""
    due_s = {}
    for at in range(number):
        delay_s = 1.0 + at * 0.0531  # never in step with whoever looks every second
        due_s[f"late-{at}"] = (
            session.ask("one", kind="note", subject=f"late-{at}", delay_s=delay_s)["asked_s"] + delay_s
        )
    return [(session.ran(key) - at_s) * 1000 for key, at_s in due_s.items()]


def idle(sessions: Mapping[str, Session], sizes: Sizes) -> dict[str, Figures]:
    """What workers take while nothing comes, all watched at once: it is little, and no matter of speed."""
    time.sleep(sizes.settle_s)
    with ExitStack() as stack:
        counted = {name: stack.enter_context(session.server.counting()) for name, session in sessions.items()}
        began_s = {name: (session.busy_seconds(), time.monotonic()) for name, session in sessions.items()}
        time.sleep(sizes.idle_s)
        figures = {}
        for name, session in sessions.items():
            cpu_s, seconds = session.busy_seconds() - began_s[name][0], time.monotonic() - began_s[name][1]
            figures[name] = {"idle_cpu": cpu_s / seconds * 100, "idle_commands": counted[name].sent / seconds}
    return figures


def warm_worker(contestant: Contestant, sizes: Sizes) -> Session:
    """Return an open session, with a worker that has done one task."""
    with ExitStack() as stack:
        session = stack.enter_context(Session(contestant, is_durable=sizes.is_durable))
        session.start_worker()
        session.ask("one", kind="note", subject="warm")
        session.ran("warm")
        stack.pop_all()
        return session


def start(contestant: Contestant, sizes: Sizes) -> Figures:
    """A process is started, a task waits. With a server of its own it starts that first, and enqueues by itself."""
    with Session(contestant, is_durable=sizes.is_durable) as session:
        if contestant.way != "embedded":
            session.ask("one", kind="note", subject="waiting")
        began_s = session.start_worker()
        return {"start": session.ran("waiting") - began_s}


def memory(contestant: Contestant, sizes: Sizes) -> Figures:
    """What a queued task costs the server, and a worker that has done as many."""
    with Session(contestant, is_durable=sizes.is_durable) as session:
        session.put_in(1000)  # scripts loaded, buffers grown
        before = session.server.used_memory()
        session.put_in(sizes.many)
        queued = session.server.used_memory() - before
        drained(session, 50)
        return {"server_memory": queued / sizes.many, "worker_memory": session.resident_bytes() / 1e6}


def sleeps(contestant: Contestant, sizes: Sizes) -> Figures:
    """Tasks that only sleep: how near to the ideal, which is to have all places taken all the time."""
    figures = {}
    for ms in NAPS_MS:
        at_once = contestant.in_flight_asleep
        ideal = at_once / ms * 1000
        rounds = min(ideal, _rate(contestant, sizes)) * sizes.seconds / at_once
        number = max(2, round(rounds)) * at_once
        with Session(contestant, in_flight=at_once, is_durable=sizes.is_durable) as session:
            figures[f"sleep_{ms}"] = drained(session, number, kind="sleep", subject=str(ms / 1000)).rate / ideal * 100
    return figures


# What takes turns, again in each repeat.
GROUPS: dict[str, Callable[[Contestant, Sizes], Figures]] = {
    "enqueue": enqueue,
    "drain": drain,
    "latency": latency,
    "start": start,
    "sleeps": sleeps,
}
