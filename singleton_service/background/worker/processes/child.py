"""One process of the pool, from the outside."""

from __future__ import annotations

import math
import multiprocessing.spawn
import os
import pickle
import re
import signal
import socket
import subprocess
import time
from multiprocessing import util
from typing import TYPE_CHECKING, Any

from singleton_service.background.worker.registering import modules
from singleton_service.background.worker.tracebacks import ON_THE_WAY

from .frames import TELL_WHERE, Kind, Line
from .logs import levels

if TYPE_CHECKING:
    from singleton_service.background.config import PlainSettings
    from singleton_service.background.worker.job import Job
    from singleton_service.background.worker.seat import Order

    from .travel import Ticket

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENDS_WITHIN_S = 1.0
_TELLS_WITHIN_S = 0.5
_STACK_BYTES = 64 * 1024
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')
# Only what `python -c` can import by itself: the rest of sys.path is the parent's.
_PROGRAM = (
    "import sys; line, stack, parent, *sys.path = sys.argv[1:]; "
    "from singleton_service.background.worker.processes.inside import main; main(int(line), int(stack), int(parent))"
)


class Child:
    """A process, its line and what it does now. Used by one thread alone, which outlives it; any may `kill`.

    Attributes:
        is_ready: it has said so.
        is_closing: it was told to end, or killed.
        waits_for_room: its line is watched for room to write.
        job: what it was given.
        has_begun: it has called the handler.
        interrupt_at: when the job's time is over, time.monotonic() seconds.
        kill_at: when it is to be killed.
        order: why the job was interrupted.
        failure: why it can't be used, as it said itself.
    """

    def __init__(self, name: str, settings: PlainSettings, ready_by: float) -> None:
        """Start it. It may be given a job at once.

        Args:
            name: for logs.
            settings: of the worker.
            ready_by: when it is to be killed if it is not ready, time.monotonic() seconds.

        Raises:
            OSError: there is no process to be had.
        """
        self.name = name
        self.is_ready = self.has_begun = self.is_closing = self.waits_for_room = False
        self.job: Job | None = None
        self.interrupt_at, self.kill_at = math.inf, ready_by
        self._jobs = 0
        self._began_at = math.inf
        self.order: Order | None = None
        self.failure: str | None = None
        preparation: dict[str, Any] = multiprocessing.spawn.get_preparation_data(name)
        preparation["authkey"] = bytes(preparation["authkey"])
        ours, theirs = socket.socketpair()
        self.line = Line(ours)
        self._stack, stack = os.pipe()
        try:
            self._process = _spawn(theirs.fileno(), stack, preparation["sys_path"])
        except BaseException:
            ours.close()
            os.close(self._stack)
            raise
        finally:
            theirs.close()
            os.close(stack)
        setup = {
            "preparation": preparation,
            "levels": levels(),
            "retry_base_s": settings.retry_base_seconds,
            "retry_cap_s": settings.retry_cap_seconds,
            "check_s": settings.service_check_seconds,
            "modules": modules(),
        }
        self.line.send(Kind.SETUP, pickle.dumps(setup))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a job."""
        return self.job is None and not self.is_closing

    def ready(self) -> None:
        """Note that it takes jobs."""
        self.is_ready = True
        if not self.is_closing:
            self.kill_at = math.inf

    def give(self, job: Job, ticket: Ticket) -> None:
        """Have it do a job."""
        self.job, lease = job, job.lease
        self._jobs += 1
        fields = (lease.queue, lease.uid, lease.fence, lease.worker, lease.token, lease.body)
        self.line.send(
            Kind.JOB, pickle.dumps((ticket, job.is_marked, *fields, lease.retry_count, lease.crashes), protocol=5)
        )

    def begin(self, limit_s: float, now: float) -> None:
        """Note that it has called the handler."""
        if self.job is not None and not self.has_begun:
            self.has_begun = self.job.has_begun = True
            self._began_at, self.interrupt_at = now, now + limit_s

    def interrupt(self, order: Order, kill_at: float) -> None:
        """Ask the handler to end, unless that was done; then it has until *kill_at*."""
        self.interrupt_at = math.inf
        if self.order is None:
            self.order, self.kill_at = order, kill_at
            self.line.send(Kind.INTERRUPT, f"{self._jobs} {order.value}".encode())

    def missed(self, number: int) -> None:
        """Note that the handler of this one of its jobs had ended already."""
        if number == self._jobs:
            self.order, self.kill_at = None, math.inf

    def end_job(self) -> Job | None:
        """Take the job from it, which is over."""
        job, self.job = self.job, None
        if job is not None and self.has_begun:
            job.run_s = time.monotonic() - self._began_at
        self.has_begun, self.order = False, None
        self.interrupt_at = math.inf
        if not self.is_closing:  # or else it may end at the last moment, and is killed all the same
            self.kill_at = math.inf
        return job

    def close(self, kill_at: float) -> None:
        """Have it end by itself."""
        self.is_closing, self.kill_at = True, kill_at
        self.line.send(Kind.CLOSE)

    def kill_soon(self, now: float) -> None:
        """Ask it where it is, which it may not be able to tell, and kill it a moment later."""
        self.kill_at = now + _TELLS_WITHIN_S
        if not self.is_closing:
            self.is_closing = True
            self._process.send_signal(TELL_WHERE)

    def kill(self) -> None:
        """End it."""
        self.is_closing, self.kill_at = True, math.inf
        self._process.kill()

    def bury(self) -> int:
        """Wait for its end, which its line has told of, and return its exit code: that of a signal is negative."""
        try:
            code = self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            # It closed the line, and went on.
            self._process.kill()
            code = self._process.wait()
        self.line.close()
        return code

    def last_words(self) -> str | None:
        """Return where the handler was when the process crashed, if it could still tell, as a traceback."""
        with open(self._stack, "rb", buffering=0) as stack:  # noqa: PTH123 - a descriptor
            os.set_blocking(self._stack, False)
            said = stack.read(_STACK_BYTES) or b""
        lines = said.decode("utf-8", "replace").splitlines()
        frames = [match for line in lines if (match := _FRAME.match(line))]
        outermost = next((n for n, match in enumerate(frames) if match["file"] in ON_THE_WAY), len(frames))
        if outermost == 0:
            return None
        shown = [f'  File "{match["file"]}", line {match["line"]}, in {match["name"]}' for match in frames[:outermost]]
        ending = lines[0] if lines[0].startswith("Fatal") else "Killed"
        return "\n".join(["Traceback (most recent call last):", *reversed(shown), ending, ""])


def _spawn(line: int, stack: int, path: list[str]) -> subprocess.Popen[bytes]:
    options = util._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    # Until it has handlers of its own a Ctrl-C would leave a traceback of its imports.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return subprocess.Popen(  # noqa: S603 - this very Python, and paths of ours
            [
                multiprocessing.spawn.get_executable(),
                *options,
                "-c",
                _PROGRAM,
                str(line),
                str(stack),
                str(os.getpid()),
                *(each for each in path if isinstance(each, str)),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(line, stack),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
