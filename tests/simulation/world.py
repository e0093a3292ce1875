"""One seed: processes that enqueue and work, what befalls them, and whether all was well in the end."""

from __future__ import annotations

import logging
import random
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from singleton_service.background.config import Settings
from singleton_service.background.task_queue import Task, TaskRequest, TaskStatus, client
from singleton_service.background.task_queue.checks import check_limits
from singleton_service.background.task_queue.keys import QueueKeys
from singleton_service.background.task_queue.order import queue_order, turns_of
from tests.scripts.invariants import Dump, check

from .network import CLOCK_KEY, Network, simulated_scripts
from .program import Program
from .stage import BEGINNING_S, Stage
from .standing_in import replacing, standing_in
from .witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from singleton_service.background.engine import Engine

    from .network import Changes

_LEASE_S = 2.0
# One thread may have all of them to do, three seconds each.
_LONGEST_DRAIN_S = 300.0
# Totals of a queue: a task that came, or came back to life, and has not gone is still there.
_CAME, _WENT = (b"enqueued", b"revived"), (b"completed", b"failed", b"cancelled", b"expired")
_LOOK_EVERY_S = 0.5
_MOST_RETRIES = 2
_BURIED = "worker lost 3 times"
_ORDERS = ("default", "default", "critical,default", "critical:2,default:1")
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.4)
_TAKES_S = (0.0, 0.001, 0.02, 0.02, 0.3, 0.3, 3.0)
_FAILS = (0, 0, 0, 0, 0, 1, 2, 3)
_DELAYS_S = (0, 0, 0, 0.3, 2.0)
_EXPIRES_S = (None, None, None, None, None, 1.0)
_LIMITED = 0.3
_UNIQUE = ("drop", "replace", "serial")


@dataclass(slots=True)
class Tale:
    """What happened in a seed.

    Attributes:
        broken: sentences; none when all was well.
        bites: how many calls met which fate.
        log: what happened when, for whoever wants to see it.
    """

    seed: int
    broken: list[str] = field(default_factory=list)
    bites: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    log: list[str] = field(default_factory=list)


def play(seed: int, engine: Engine, changes: Changes = ()) -> Tale:
    """Play a seed on a real server, and tell what happened.

    Args:
        seed: decides everything.
        engine: where the server is. It has no other keys, and none is left on it.
        changes: to the texts of the scripts, for mutants.
    """
    # What a process remembers for good, each seed begins without.
    turns_of.cache_clear()
    scripts = simulated_scripts(changes)
    replaced: list[tuple[Any, str, Any]] = [(client, "load_scripts", lambda: scripts)]
    stage, witness = Stage(), Witness(scripts)
    network = Network(stage, engine, scripts, random.Random(f"network {seed}"), witness)
    with standing_in(stage, random.Random(f"package {seed}")), replacing(replaced), _silence():
        world = World(seed, stage, network, witness)
        try:
            world.play()
        finally:
            world.end()
    return world.tale


@contextmanager
def _silence() -> Iterator[None]:
    """Warnings are what bad lines are for; here the end is what counts."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        # Not by hand: each logger remembers what is silent, and would go on being so in other tests.
        logging.disable(before)


class World:
    """All there is of one seed.

    Attributes:
        acknowledged: number of a task -> the id that its enqueue returned.
        producing: how many producers have not come to their end.
        is_over: whoever works without end may stop.
    """

    def __init__(self, seed: int, stage: Stage, network: Network, witness: Witness) -> None:
        self.tale = Tale(seed)
        self.stage = stage
        self.network = network
        self.settings = Settings(redis_url="redis://simulated", namespace=f"simulation{seed}", lease_seconds=_LEASE_S)
        self.acknowledged: dict[int, str] = {}
        self.producing = 0
        self.is_over = False
        self._witness = witness
        self._chance = random.Random(f"world {seed}")
        self.order = queue_order(self._chance.choice(_ORDERS))
        self.queues = self.order.names
        self._programs: list[Program] = []
        self._workers: list[Program] = []
        self._failures: dict[int, int] = {}
        self._tasks: list[Task] | None = None
        self._number = 0

    def play(self) -> None:
        """From the first enqueue to the last end."""
        chance, stage = self._chance, self.stage
        for _ in range(chance.randint(1, 2)):
            self._hire("worker")
        if chance.random() < 0.6:
            self._hire("loop")
        self._limit()
        span_s = chance.uniform(0.5, 5.0)
        ends_s = stage.now_s + span_s + 2
        self._begin_to_produce(span_s)
        self.network.share = chance.choice(_SHARES)
        for _ in range(chance.randint(0, 4)):
            self.sleep(chance.uniform(0.1, span_s))
            incident = chance.choice(_INCIDENTS)
            self.note(incident.__name__)
            incident(self)
            self._check()
        self.sleep(max(0.0, ends_s - stage.now_s))
        self.network.calm()
        self._wait("all tasks to end", lambda: not self.producing and not self.network.under_way and self._is_drained())
        self.is_over = True
        self._dismiss()
        self._judge()

    def end(self) -> None:
        """Leave nothing behind."""
        for program in self._programs:
            self.stage.kill(program.process)
        self.sleep(1)
        self.stage.close()
        self.tale.bites = dict(self.network.bites)
        self.tale.calls = self.network.calls
        (keys,) = self.network.ask((b"KEYS", b"*"))
        foreign = [
            key for key in keys if not key.startswith(f"{self.settings.namespace}:".encode()) and key != CLOCK_KEY
        ]
        if foreign:
            self._broken(f"keys of nobody: {foreign}")
        self.network.ask((b"DEL", CLOCK_KEY, *keys))
        self.network.close()

    # What its threads may ask for

    def sleep(self, seconds: float) -> None:
        """Let the others go on."""
        ends_s = self.stage.now_s + seconds
        while self.stage.now_s < ends_s:
            self.stage.wait(ends_s)

    def note(self, what: str) -> None:
        """Write down what happened."""
        self.tale.log.append(f"{self.stage.now_s - BEGINNING_S:9.4f} {what}")

    def handle(self, payload: dict[str, Any]) -> int:
        """Do a task: it takes its time, and may fail a few times first."""
        number: int = payload["n"]
        self.note(f"begin {number} by {self.stage.here.name}")
        self.sleep(payload["s"])
        if self._failures.get(number, 0) < payload["fails"]:
            self._failures[number] = self._failures.get(number, 0) + 1
            raise RuntimeError("not this time")
        self.note(f"end {number} by {self.stage.here.name}")
        return number

    # Who there is

    def _program(self, kind: str) -> Program:
        program = Program(self, kind, f"{kind}-{len(self._programs)}")
        self._programs.append(program)
        return program

    def _hire(self, kind: str) -> None:
        program = self._program(kind)
        threads = self._chance.randint(1, 3)
        if kind == "loop":
            for _ in range(threads):
                program.spawn(program.loop)
        else:
            program.spawn(lambda: program.work(threads))
        self._workers.append(program)

    def _limit(self) -> None:
        for queue in self.queues:
            if self._chance.random() < _LIMITED:
                pace = check_limits(self._chance.choice((None, 2, 3)), self._chance.choice((None, 20)), 1)
                self.network.ask(self._programs[0].queue._open_client().protocol(queue).limit(pace))

    def _begin_to_produce(self, span_s: float) -> None:
        for _ in range(self._chance.randint(1, 2)):
            self.producing += 1
            producer = self._program("producer")
            calls = [self._requests() for _ in range(self._chance.randint(2, 9))]
            chance = random.Random(f"{producer.process.name} {self.tale.seed}")
            producer.spawn(partial(producer.produce, calls, span_s / len(calls), chance))

    def _requests(self) -> list[TaskRequest]:
        chance = self._chance
        number = chance.choice((1, 1, 2, 5, 12))
        queue, delay_s = chance.choice(self.queues), chance.choice(_DELAYS_S)
        has_own_ids, has_key = chance.random() < 0.3, number == 1 and chance.random() < 0.3
        requests = []
        for _ in range(number):
            n = self._number = self._number + 1
            requests.append(
                TaskRequest(
                    "work",
                    {"n": n, "s": chance.choice(_TAKES_S), "fails": chance.choice(_FAILS)},
                    delay_s,
                    _MOST_RETRIES,
                    queue=queue,
                    task_id=f"own-{n}" if has_own_ids else None,
                    expires_in=chance.choice(_EXPIRES_S),
                    unique_key="key" if has_key else None,
                    unique=chance.choice(_UNIQUE) if has_key else "drop",
                )
            )
        return requests

    # What befalls them

    def kill(self) -> None:
        """Kill a worker process, and start another."""
        victim = self._workers.pop(self._chance.randrange(len(self._workers)))
        self.stage.kill(victim.process)
        victim.has_left = True
        self._hire(victim.kind)

    def stop(self) -> None:
        """Stop a process, as SIGSTOP does, for a moment or for longer than a lease."""
        victim = self._chance.choice(self._workers)
        victim.process.stopped_until_s = self.stage.now_s + self._chance.uniform(0.2, 2.5 * _LEASE_S)

    def gale(self) -> None:
        """Let nearly every call of a process go wrong for a while."""
        victim = self._chance.choice(self._programs)
        self.network.gales[victim.process] = self.stage.now_s + self._chance.uniform(0.3, 2.5 * _LEASE_S)

    def flush(self) -> None:
        """Let the server forget its scripts."""
        self.network.ask((b"SCRIPT", b"FLUSH"))

    def replace(self) -> None:
        """Have a worker process leave in peace, and start another."""
        leaver = self._chance.choice(self._workers)
        if leaver.kind == "worker":
            self._workers.remove(leaver)
            self._hire("worker")
            leaver.spawn(leaver.leave)

    # The end

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        ends_s = self.stage.now_s + _LONGEST_DRAIN_S
        while not condition():
            if self.stage.now_s > ends_s:
                places = [place for queue in self.queues for place in self._dump(queue).places().items() if place[1]]
                self._broken(f"waited {_LONGEST_DRAIN_S:g} s for {what}: {places}")
                return
            self.sleep(_LOOK_EVERY_S)

    def _is_drained(self) -> bool:
        for queue in self.queues:
            keys = QueueKeys(self.settings.namespace, queue, "")
            (counted,) = self.network.ask((b"HMGET", keys.key("counters"), *_CAME, *_WENT))
            counts = [int(number or 0) for number in counted]
            if sum(counts[: len(_CAME)]) != sum(counts[len(_CAME) :]):
                return False
        return True

    def _dismiss(self) -> None:
        """End all processes. One more sees that those that died are known as dead."""
        going = [program for program in self._programs if not program.has_left]
        for program in going:
            program.spawn(program.leave)
        self._wait("every process to end", lambda: all(program.has_left for program in going))
        last = self._program("last")
        last.spawn(lambda: last.work(1))
        self._wait("the dead to be known", lambda: self._known_workers() == {last.process.name})
        last.spawn(lambda: setattr(self, "_tasks", last.read_all()))
        self._wait("the list of tasks", lambda: self._tasks is not None)
        last.spawn(last.leave)
        self._wait("the last to leave", lambda: last.has_left)

    def _known_workers(self) -> set[str]:
        found: set[str] = set()
        for queue in self.queues:
            keys = QueueKeys(self.settings.namespace, queue, "")
            found |= {name.decode() for name in self.network.ask((b"ZRANGE", keys.key("workers"), 0, -1))[0]}
        return found

    def _dump(self, queue: str) -> Dump:
        names = [program.process.name for program in self._programs]
        return self.network.dump(QueueKeys(self.settings.namespace, queue, ""), names)

    def _broken(self, sentence: str) -> None:
        self.tale.broken.append(sentence)

    def _check(self) -> None:
        """See that every invariant holds, now."""
        for queue in self.queues:
            dump = self._dump(queue)
            most, _ = dump.limits
            if most and len(dump.hashes["running"]) > most:
                self._broken(f"{len(dump.hashes['running'])} tasks run where {most} may")
            try:
                # Somebody may have taken the token and not fetched yet.
                check(dump, token_taken=True)
            except AssertionError as error:
                self._broken(f"queue {queue!r}: {_said(error)}")

    def _judge(self) -> None:
        self.tale.broken += [*self._witness.broken, *self.network.refusals]
        self.tale.broken += [f"a thread died: {error!r}, {_said(error)}" for error in self.stage.errors]
        self._check()
        tasks = self._tasks or []
        ended = {task.id for task in tasks if task.status in _ENDED}
        for n, task_id in self.acknowledged.items():
            if task_id not in ended:
                self._broken(f"lost: task {n}, {task_id}, was acknowledged and has no end")
        if len(tasks) > self._number:
            self._broken(f"{self._number} tasks went in and {len(tasks)} are there")
        for task in tasks:
            if task.status is TaskStatus.FAILED:
                self._must_have_failed(task)
        for queue in self.queues:
            self._must_be_empty(queue, [task for task in tasks if task.queue == queue])
        self.note(f"ended {sorted(task.status.value for task in tasks)}")

    def _must_have_failed(self, task: Task) -> None:
        failures = self._failures.get(task.payload["n"], 0)
        if task.retry_count > failures:
            self._broken(f"task {task.id} has used {task.retry_count} retries and failed {failures} times")
        if task.payload["fails"] <= _MOST_RETRIES and _BURIED not in (task.error_message or ""):
            self._broken(f"task {task.id} failed for good after {failures} failures: {task.error_message}")

    def _must_be_empty(self, queue: str, tasks: Sequence[Task]) -> None:
        dump = self._dump(queue)
        completed = sum(task.status is TaskStatus.COMPLETED for task in tasks)
        if dump.counters.get("completed", 0) != completed:
            self._broken(f"{completed} tasks completed, {dump.counters.get('completed', 0)} times")
        failed = {task.id.rpartition(".")[2] for task in tasks if task.status is TaskStatus.FAILED}
        left = {name: _others(what, failed) for name, what in dump.leftovers().items()}
        if dump.zsets["workers"] or any(left.values()):
            self._broken(f"left over: {left}, workers {dump.zsets['workers']}")


_ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED})

_INCIDENTS: tuple[Callable[[World], None], ...] = (
    World.kill,
    World.kill,
    World.stop,
    World.gale,
    World.gale,
    World.flush,
    World.replace,
)


def _others(uids: Iterable[str], known: set[str]) -> list[str]:
    return [uid for uid in uids if uid not in known]


def _said(error: BaseException) -> str:
    """Return what failed: of a bare assertion its line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return str(error) or f"{last.name}: {last.line}"
