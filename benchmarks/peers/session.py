"""One contestant on a fresh server: its producer, its workers, and what its tasks told."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from . import process_tree
from .contestants import ENVIRONMENTS, ROOT
from .server import own_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .contestants import Contestant

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.002


class ContestantError(RuntimeError):
    """A contestant could not do what was asked."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a task told: a word, its key, its process, and when."""

    word: str
    key: str
    pid: int
    at_s: float


class Session:
    """A context manager. Whatever it starts, it kills at the end."""

    def __init__(self, contestant: Contestant, *, in_flight: int = 0, is_durable: bool = False) -> None:
        self.contestant = contestant
        self._in_flight = in_flight or contestant.in_flight
        self._is_durable = is_durable
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self.server = stack.enter_context(own_server(directory, is_durable=self._is_durable))
            self._stamps = directory / "stamps"
            self._stamps.touch()
            self._log = stack.enter_context((directory / "log").open("wb"))
            self._directory = directory
            self._environment = self._make_environment()
            self._producer = subprocess.Popen(
                self.contestant.command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=directory,
                env=self._environment,
            )
            stack.callback(_end, self._producer)
            stack.callback(self.kill_workers)
            self.described = self.ask("describe")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make_environment(self) -> Mapping[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return inherited | {
            "PYTHONPATH": str(ROOT),
            "NODE_PATH": str(ENVIRONMENTS / self.contestant.peer / "node_modules"),
            "BENCH_URL": self.server.url,
            "BENCH_STAMPS": str(self._stamps),
            "BENCH_WAY": self.contestant.way,
            "BENCH_IN_FLIGHT": str(self._in_flight),
        }

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have the producer do something, and return its answer.

        Raises:
            ContestantError: it failed, ended, or took too long.
        """
        assert self._producer.stdin is not None
        assert self._producer.stdout is not None
        try:
            self._producer.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._producer.stdin.flush()
        except BrokenPipeError:
            raise self._error(f"its producer has ended before {do}") from None
        if not select.select([self._producer.stdout], [], [], PATIENCE_S + arguments.get("patience_s", 0.0))[0]:
            raise self._error(f"{do} took longer than {PATIENCE_S:.0f} s")
        line = self._producer.stdout.readline()
        if not line:
            raise self._error(f"its producer ended at {do}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise self._error(f"{do}: {answer['error']}")
        return answer

    def _error(self, what: str) -> ContestantError:
        said = (self._directory / "log").read_text(errors="replace").strip().splitlines()[-15:]
        return ContestantError("\n    ".join([f"{self.contestant.name}: {what}", *said]))

    def put_in(self, number: int, kind: str = "send_email", **more: Any) -> dict[str, Any]:
        """Enqueue so many, by the quickest way there is."""
        if self.described["in_bulk"]:
            return self.ask("enqueue_many", kind=kind, number=number, **more)
        return self.ask("enqueue", kind=kind, number=number, lines=8, **more)

    def start_worker(self, *, delays: bool = False) -> float:
        """Start one worker more, and return when."""
        began_s = time.monotonic()
        for command in self.described["workers_with_delays" if delays else "workers"]:
            self._workers.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    cwd=self._directory,
                    env=self._environment,
                    start_new_session=True,
                )
            )
        return began_s

    def kill_workers(self) -> None:
        """Kill -9 all workers with all their processes."""
        for worker in self._workers:
            process_tree.kill(worker.pid)
            worker.wait()
        self._workers.clear()

    def cpu_seconds(self) -> float:
        """Return the processor time of all workers so far."""
        return sum(process_tree.cpu_seconds(worker.pid) for worker in self._workers)

    def busy_seconds(self) -> float:
        """Return the same more finely, of threads that live."""
        return sum(process_tree.busy_seconds(worker.pid) for worker in self._workers)

    def resident_bytes(self) -> int:
        """Return the memory of all workers."""
        return sum(process_tree.resident_bytes(worker.pid) for worker in self._workers)

    def stamps(self, word: str) -> list[Stamp]:
        """Return what tasks told so far with this word."""
        lines = [line.split() for line in self._stamps.read_text().splitlines()]
        return [Stamp(said, key, int(pid), float(at_s)) for said, key, pid, at_s in lines if said == word]

    def wait_for(self, what: str, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait until it holds.

        Raises:
            ContestantError: it does not, in time, or a worker ended by itself.
        """
        deadline_s = time.monotonic() + patience_s
        while not condition():
            if any(worker.poll() is not None for worker in self._workers):
                raise self._error(f"a worker ended while it was waited for {what}")
            if time.monotonic() > deadline_s:
                raise self._error(f"no {what} within {patience_s:.0f} s")
            time.sleep(LOOK_EVERY_S)

    def ran(self, key: str, patience_s: float = PATIENCE_S) -> float:
        """Wait until the task `note` of this key ran, and return when."""
        found: list[Stamp] = []

        def is_there() -> bool:
            found[:] = [stamp for stamp in self.stamps("ran") if stamp.key == key]
            return bool(found)

        self.wait_for(f"task {key}", is_there, patience_s)
        return found[0].at_s


def _end(producer: subprocess.Popen[bytes]) -> None:
    producer.kill()
    producer.wait()
    for pipe in (producer.stdin, producer.stdout):
        if pipe is not None:
            pipe.close()
