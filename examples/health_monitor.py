"""A health monitor: who is well, who died and came back, and who lives but does nothing any more.

    python examples/health_monitor.py

Three workers go their rounds, and early in its first life each meets a trouble of its own: an exception, a kill -9, a
hang. A server starts again by itself who died. Who hangs is found by the monitor, for want of signs of life. A line is
printed whenever something has changed; it ends when all three are well again, or with Ctrl-C.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from screen import OneLineHandler
from singleton_service.workers import ProcessWorker, Server, ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from singleton_service.workers import AbstractWorker

ROUND_S = 0.05
TROUBLE_AT_ROUND = 10
SILENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """A worker's signs of life, in memory that processes share."""

    life: Any
    rounds: Any
    beat_at: Any

    @classmethod
    def new(cls) -> Pulse:
        """Make one for a worker that is still to be started."""
        processes = multiprocessing.get_context("spawn")
        return cls(processes.RawValue("i"), processes.RawValue("i"), processes.RawValue("d"))

    def begin(self) -> None:
        """Count a life that begins."""
        self.life.value += 1
        self.rounds.value = 0
        self.beat_at.value = time.monotonic()

    def beat(self) -> None:
        """Count a round, and note when it was."""
        self.rounds.value += 1
        self.beat_at.value = time.monotonic()


def go_rounds(worker: AbstractWorker, pulse: Pulse, trouble: Callable[[], object]) -> None:
    """Do what all three do: work in rounds, with a sign of life in each."""
    while not worker.should_stop(within=ROUND_S):
        pulse.beat()
        if pulse.life.value == 1 and pulse.rounds.value == TROUBLE_AT_ROUND:
            trouble()


class Fetch(ThreadWorker):
    """Goes its rounds in a thread."""

    def __init__(self, pulse: Pulse, trouble: Callable[[], object]) -> None:
        super().__init__()
        self.pulse = pulse
        self.trouble = trouble

    def setup(self) -> None:
        """Begin a life."""
        self.pulse.begin()

    def main(self) -> None:
        """Go."""
        go_rounds(self, self.pulse, self.trouble)


class Crunch(ProcessWorker):
    """Goes its rounds in a process of its own, so that whatever ends it ends nothing else."""

    def __init__(self, name: str, pulse: Pulse, trouble: Callable[[], object]) -> None:
        super().__init__(name)
        self.pulse = pulse
        self.trouble = trouble

    def setup(self) -> None:
        """Begin a life; what it logs shall look as it does in the main process."""
        logging.basicConfig(handlers=[OneLineHandler()])
        self.pulse.begin()

    def main(self) -> None:
        """Go."""
        go_rounds(self, self.pulse, self.trouble)


class Monitor(ThreadWorker):
    """Looks at the others several times a second, tells what has changed, and starts anew who hangs."""

    def __init__(self, server: Server, patients: Sequence[tuple[AbstractWorker, Pulse]]) -> None:
        super().__init__()
        self.server = server
        self.patients = patients
        self.are_all_well_again = False

    def main(self) -> None:
        """Look until all are well in a second life."""
        began = time.monotonic()
        shown: list[str] = []
        while not self.are_all_well_again and not self.should_stop(within=0.1):
            states = [state_of(worker, pulse) for worker, pulse in self.patients]
            if states != shown:
                show(f"{time.monotonic() - began:5.1f} s", states)
                shown = states
            for (worker, _), state in zip(self.patients, states, strict=True):
                if state.startswith("silent"):
                    start_anew(worker)
            have_all_been_ill = all(worker.starts > 1 for worker, _ in self.patients)
            self.are_all_well_again = have_all_been_ill and all(state.startswith("well") for state in states)
        self.server.stop()


def state_of(worker: AbstractWorker, pulse: Pulse) -> str:
    """Tell how a worker is."""
    if not worker.is_alive:
        return "dead"
    if pulse.life.value < worker.starts:
        return "starting"
    if time.monotonic() - pulse.beat_at.value > SILENCE_S:
        return f"silent for {SILENCE_S:g} s"
    return f"well, in life {worker.starts}"


def start_anew(worker: AbstractWorker) -> None:
    """End a worker that lives, and begin its next life."""
    worker.stop()
    worker.join(0.5)  # then a process is broken off, wherever it is; one that does not even hear that is killed
    if not worker.is_alive:  # a thread can't be ended from outside: it is asked again at the next look
        worker.start()


def show(time_s: str, columns: Sequence[str]) -> None:
    """Print a line of the table."""
    print(f"{time_s:7}  {'  '.join(f'{column:17}' for column in columns)}".rstrip(), flush=True)


def meet_an_error() -> None:
    """Stand for whatever is not expected."""
    raise ConnectionError("the line is broken")


def get_killed() -> None:
    """Do to this process what the kernel does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    """Wait for an answer that never comes."""
    time.sleep(3600)


def main() -> int:
    """Have three workers fall ill and recover; return the exit status."""
    logging.basicConfig(level=logging.WARNING, handlers=[OneLineHandler()])
    pulses = [Pulse.new() for _ in range(3)]
    workers: list[AbstractWorker] = [
        Fetch(pulses[0], meet_an_error),
        Crunch("Crunch", pulses[1], get_killed),
        Crunch("Index", pulses[2], hang),
    ]
    server = Server("health")
    monitor = Monitor(server, list(zip(workers, pulses, strict=True)))
    show("", [worker.name for worker in workers])
    for worker in (*workers, monitor):
        server.add_worker(worker)

    has_ended = server.run_forever(timeout=10)

    print(f"Started {', '.join(f'{worker.name} {worker.starts} times' for worker in workers)}.")
    return 0 if has_ended and monitor.are_all_well_again else 1


if __name__ == "__main__":
    sys.exit(main())
