"""One scenario's world: a server, perhaps a bad line to it, producers, workers, and what is known about all of them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from .checker import Verdict, judge
from .journal import Journals, now_s
from .producer import Order
from .proxy import Proxy
from .servers import EmbeddedServer, PlainServer, wait_for
from .timeline import MARGIN_S, picture, stalls
from .worker import Crew

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# Where the package and these programs are imported from; a mutant is a copy of all of it.
_HOME = Path(os.path.abspath(__file__)).parents[2]  # noqa: PTH100 - resolve() would leave a copy that has links
# What a worker says of an end that did not count.
REFUSED = "its outcome was refused"
# Figures that the page of results sums up.
READY_AGAIN = "ready again after s"
RUNNING_AGAIN = "running again after s"
LONGEST_STALL, FAULT_MEANWHILE, STALL_ALLOWED = "longest stall s", "fault meanwhile s", "stall allowed s"
_BEATS_PER_LEASE = 5
_DRAIN_S = 60.0


class ScenarioError(AssertionError):
    """What a scenario found: broken promises, or a fault that did not bite."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a scenario is. The lease is the smallest allowed where time is short, else the default."""

    tasks: int = 600
    lease_s: float = 2.0
    seed: int = 1
    rounds: int = 2
    soak_s: float = 120.0

    @property
    def many_threads(self) -> int:
        """Threads of a worker that shall hold a good many tasks at any time."""
        return 8 * max(1, self.tasks // 2000)

    @property
    def beat_s(self) -> float:
        """The time between two heartbeats."""
        return self.lease_s / _BEATS_PER_LEASE

    @property
    def recovery_s(self) -> float:
        """How long a dead worker's tasks may take until they are ready again."""
        return self.lease_s + self.beat_s + 1.0


SMALL = Size()
FULL = Size(tasks=8000, lease_s=5.0, rounds=6, soak_s=300.0)


class Program:
    """A process of the scenario."""

    def __init__(self, who: str, process: subprocess.Popen[bytes]) -> None:
        self.who = who
        self.process = process

    def send(self, signum: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(signum)

    def kill(self) -> float:
        """Kill it; return when."""
        at_s = now_s()
        self.process.kill()
        self.process.wait()
        return at_s


@dataclass(slots=True)
class Fault:
    """When the fault was there."""

    began_s: float
    ended_s: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.ended_s - self.began_s


@dataclass(slots=True)
class Report:
    """What a scenario has to say for itself."""

    name: str
    about: str = ""
    server: str = ""
    verdict: Verdict | None = None
    figures: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    picture: str = ""
    seconds: float = 0.0
    output: str = ""

    @property
    def line(self) -> str:
        """The one line of figures."""
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        return f"{self.name}: {self.verdict} | {figures} | {self.seconds:.1f} s"


class Rig:
    """A context manager: at its end no process, thread, socket or file of it is left."""

    def __init__(self, name: str, size: Size) -> None:
        self.size = size
        self.random = random.Random(size.seed)
        self.report = Report(name)
        self.directory = Path(tempfile.mkdtemp(prefix="faults-"))
        self.journals = Journals(self.directory)
        self.faults: list[Fault] = []
        self.server: PlainServer | EmbeddedServer
        self._programs: list[Program] = []
        self._proxies: list[Proxy] = []
        self._observer: subprocess.Popen[bytes]
        self._variables: dict[str, str] = {}
        self._next_number = 0
        self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.report.seconds = time.monotonic() - self._began_s
        for program in self._programs:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(program.process.pid, signal.SIGKILL)
            program.process.wait()
        for proxy in self._proxies:
            proxy.stop()
        if hasattr(self, "_observer"):
            self._end_observer()
        if hasattr(self, "server"):
            self.server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # The world

    def plain_server(self, fsync: str = "always", **variables: str) -> PlainServer:
        """Start a server of one's own."""
        server = PlainServer(self.directory / "server", fsync).start()
        self.report.server = server.version
        self._serve(server, variables)
        return server

    def embedded_server(self, fsync: str) -> EmbeddedServer:
        """Have programs share an embedded server."""
        server = EmbeddedServer(self.directory / "data", fsync)
        self.report.server = server.version
        self._serve(server, {})
        return server

    def proxy(self) -> Proxy:
        """Return a line to the server of one's own that can be made bad."""
        assert isinstance(self.server, PlainServer)
        self._proxies.append(Proxy("127.0.0.1", self.server.port).start())
        return self._proxies[-1]

    def producers(self, order: Order, number: int = 2, *, via: Proxy | None = None, skew_s: float = 0) -> list[Program]:
        """Start producers that share an order; its journal and numbers are filled in here."""
        started = []
        for n in range(number):
            count = order.count // number + (n < order.count % number)
            who = f"producer-{self._next_number}"
            share = replace(
                order,
                journal=str(self.journals.path(who)),
                first=self._next_number,
                count=count,
                per_second=order.per_second / number,
                seed=self.size.seed,
            )
            self._next_number += count
            started.append(self._start(who, "producer", asdict(share), via, skew_s))
        return started

    def load(
        self, seconds: float, *, threads: int = 12, producers: int = 2, via: Proxy | None = None, **order: Any
    ) -> None:
        """Start producers whose tasks, all of this size, come over *seconds* and keep half of *threads* busy."""
        tasks = order.pop("tasks", self.size.tasks)
        per_second = tasks / seconds
        order.setdefault("longest_ms", min(400.0, 1000 * threads / per_second))
        self.producers(Order("", 0, tasks, per_second, **order), producers, via=via)

    def workers(
        self,
        number: int = 3,
        threads: int = 4,
        *,
        via: Proxy | None = None,
        skew_s: float = 0,
        loop: bool = False,
        patience_s: float = 30,
    ) -> list[Program]:
        """Start worker processes, and wait until they serve."""
        started = []
        for _ in range(number):
            who = f"{'loop' if loop else 'worker'}-{len(self._programs)}"
            crew = Crew(str(self.journals.path(who)), threads, patience_s)
            started.append(self._start(who, "loop_worker" if loop else "worker", asdict(crew), via, skew_s))
        wait_for(lambda: {p.who for p in started} <= {e.who for e in self.journals.entries("up")}, "workers that serve")
        return started

    def supervised(self, threads: int = 4) -> Program:
        """Start a supervisor of four workers, and wait until they serve; each is known as `child-PID`."""
        who = f"supervisor-{len(self._programs)}"
        program = self._start(who, "supervised", asdict(Crew(str(self.journals.path(who)), threads)), None, 0)
        wait_for(lambda: self.has_children(4), "workers that serve")
        return program

    def children(self) -> list[int]:
        """Return the process ids of all workers that ever had a supervisor, in the order of their starts."""
        ups = [entry.who.partition("-") for entry in self.journals.entries("up")]
        return [int(pid) for kind, _, pid in ups if kind == "child"]

    def has_children(self, number: int) -> bool:
        """Whether so many of those have served."""
        return len(self.children()) == number

    # What happens in it

    @contextlib.contextmanager
    def fault(self) -> Iterator[Fault]:
        """Take note of when the fault is there."""
        fault = Fault(now_s())
        self.faults.append(fault)
        try:
            yield fault
        finally:
            fault.ended_s = now_s()

    def sleep(self, seconds: float) -> None:
        """Let the load go on for a while."""
        time.sleep(seconds)

    def until_ended(self, number: int, within_s: float = _DRAIN_S) -> None:
        """Wait until so many tasks have ended."""
        wait_for(lambda: self.journals.count("end") >= number, f"{number} ended tasks", within_s)

    def begun_by(self, who: str) -> dict[int, float]:
        """Return the tasks that a process has begun and not ended, and when."""
        open_: dict[int, float] = {}
        for entry in self.journals.entries("begin", "end"):
            if entry.who == who:
                if entry.word == "begin":
                    open_[entry.fields[0]] = entry.at_s
                else:
                    open_.pop(entry.fields[0], None)
        return open_

    def ask(self, question: str) -> Any:
        """Ask the observer; None while the server is away."""
        assert self._observer.stdin is not None
        assert self._observer.stdout is not None
        self._observer.stdin.write(question.encode() + b"\n")
        self._observer.stdin.flush()
        return json.loads(self._observer.stdout.readline())

    def stats(self) -> dict[str, int]:
        """Return the server's counts."""
        found: dict[str, int] = wait_for(lambda: self.ask("stats"), "an answer from the queue")
        return found

    def warnings(self, text: str, who: str | None = None) -> int:
        """Count the warnings with this text, of all workers or of one."""
        found = [entry for entry in self.journals.entries("warning") if text in entry.fields[0]]
        return sum(who is None or entry.who == who for entry in found)

    # What became of it

    def bite(self, what: str, number: float, least: float = 1) -> None:
        """Take note of how hard the fault bit; a scenario whose fault did not bite has shown nothing."""
        self.figure(what, number)
        self.check(number >= least, f"the fault did not bite: {what} {number:g}, at least {least:g} expected")

    def figure(self, what: str, number: float | str) -> None:
        """Take note of a number."""
        self.report.figures[what] = number if isinstance(number, str) else f"{round(number, 2):g}"

    def check(self, holds: bool, sentence: str) -> None:  # noqa: FBT001 - reads as a sentence
        """Take note of a promise that was broken."""
        if not holds:
            self.report.broken.append(sentence)

    def drain(self, within_s: float = _DRAIN_S) -> None:
        """Wait until the producers are done and nothing is left in the queue."""
        producers = [program for program in self._programs if program.who.startswith("producer")]
        wait_for(lambda: all(p.process.poll() is not None for p in producers), "the producers' end", within_s)
        for producer in producers:
            self.check(producer.process.returncode == 0, f"{producer.who} ended with {producer.process.returncode}")
        try:
            wait_for(self._is_drained, "an empty queue", within_s)
        except TimeoutError as error:
            # What became of the tasks says why.
            self.report.broken.append(f"{error}: {self.ask('stats')}")

    def judge(self, *, bears: Collection[str] = ()) -> Verdict:
        """Compare all that is known, and note what is broken, but for what this scenario bears."""
        tasks: list[dict[str, Any]] = wait_for(lambda: self.ask("tasks"), "the list of tasks")
        verdict = judge(self.journals.entries(), tasks, self.stats())
        self.report.verdict = verdict
        self.report.broken += [sentence for kind, sentence in verdict.faults().items() if kind not in bears]
        return verdict

    def watch_stalls(self) -> None:
        """See that work went on: no stall longer than the fault itself and a second."""
        ends = [entry.at_s for entry in self.journals.entries("end")]
        given = [entry.at_s for entry in self.journals.entries("ack", "unknown")]
        faults = [(fault.began_s, fault.ended_s) for fault in self.faults]
        found = stalls(ends, min(ends), min(max(ends), max(given)), faults)
        longest = max(found, key=lambda stall: stall.seconds)
        self.figure(LONGEST_STALL, longest.seconds)
        self.figure(FAULT_MEANWHILE, longest.fault_s)
        self.figure(STALL_ALLOWED, longest.fault_s + MARGIN_S)
        self.report.picture = picture(ends)
        for stall in found:
            limit_s = stall.fault_s + MARGIN_S
            sentence = f"a stall of {stall.seconds:.2f} s, longer than {limit_s:.2f} s: no task ended"
            self.check(stall.seconds <= limit_s, sentence)

    def output(self) -> str:
        """Return what all programs said, the end of it."""
        logs = sorted(self.directory.glob("*.out"))
        return "".join(f"--- {log.stem}\n{log.read_text(errors='replace')[-3000:]}\n" for log in logs)

    # Inside

    def _serve(self, server: PlainServer | EmbeddedServer, variables: dict[str, str]) -> None:
        self.server = server
        self._variables = {"TASKS_LEASE_SECONDS": str(self.size.lease_s), **server.variables, **variables}
        with (self.directory / "observer.out").open("ab") as output:
            self._observer = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.observer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=self.directory,
                env=self._environment(None),
                start_new_session=True,
            )
        assert self.stats()["tasks_queued"] == 0

    def _end_observer(self) -> None:
        # kill -9 as for all others: nothing of the harness depends on a good end.
        self._observer.kill()
        self._observer.wait()
        for stream in (self._observer.stdin, self._observer.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _environment(self, via: Proxy | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
        line = {"REDIS_URL": via.url} if via else {}
        return {**kept, **self._variables, **line, "PYTHONPATH": str(_HOME)}

    def _start(self, who: str, module: str, arguments: dict[str, Any], via: Proxy | None, skew_s: float) -> Program:
        command = [sys.executable, "-W", "error", "-m"]
        command += ["tests.faults.skewed_clock", str(skew_s)] if skew_s else []
        with (self.directory / f"{who}.out").open("ab") as output:
            process = subprocess.Popen(
                [*command, f"tests.faults.{module}", json.dumps(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env=self._environment(via),
                start_new_session=True,
            )
        self._programs.append(Program(who, process))
        return self._programs[-1]

    def _is_drained(self) -> bool:
        stats = self.ask("stats")
        names = ("pending_tasks", "delayed_tasks", "running_tasks", "held_tasks")
        return stats is not None and not any(stats[name] for name in names)
