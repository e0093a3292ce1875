"""What runs in a process of the pool: one task after the other in the main thread, and two threads for the line.

Interrupting is done as in a thread, by an exception thrown into the main thread; and as that is where signals are
handled, one is sent after it, so that the exception arrives in a `time.sleep` or a read, too.
"""

from __future__ import annotations

import contextvars
import ctypes
import faulthandler
import importlib
import logging
import multiprocessing.process
import multiprocessing.spawn
import os
import pickle
import select
import signal
import socket
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from singleton_service import stop
from singleton_service.background.task_queue.lease import Lease
from singleton_service.background.worker.execution import Execution
from singleton_service.background.worker.job import Ending, Job
from singleton_service.background.worker.loop import HandlerLoop
from singleton_service.background.worker.readiness import Readiness
from singleton_service.background.worker.seat import Order, Seat, arrive
from singleton_service.background.worker.thread_resources import close_here

from .frames import CHUNK_BYTES, HEAD, TELL_WHERE, Kind, frame
from .logs import Relay, set_levels
from .travel import Ticket, handler_for

if TYPE_CHECKING:
    from singleton_service.background.task_queue.handlers import Handler

logger = logging.getLogger("singleton_service.worker")

_DIE_WITH_PARENT = 1
_A_MOMENT_S = 0.001
_LOOKS = 50


def main(line: int, stack: int, parent: int) -> None:
    """Live as a process of the pool, with these descriptors, as the child of this process."""
    # Not SIG_IGN: programs started here would inherit that. Whether to end is for the parent to say.
    signal.signal(signal.SIGINT, arrive)
    signal.signal(signal.SIGTERM, arrive)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    os.set_inheritable(stack, False)
    faulthandler.enable(stack, all_threads=False)
    faulthandler.register(TELL_WHERE, stack, all_threads=False)
    _die_with(parent)
    Inside(socket.socket(fileno=line)).live()


class Inside:
    """The process, from the inside."""

    def __init__(self, sock: socket.socket) -> None:
        os.set_inheritable(sock.fileno(), False)
        self._socket = sock
        self._saying = threading.Lock()
        self._to_log: SimpleQueue[tuple[bytes, threading.Lock]] = SimpleQueue()
        self._told: SimpleQueue[tuple[Kind, bytes]] = SimpleQueue()
        self._job: Job | None = None
        self._seat = _Seat(self)
        self._handlers: dict[str, Handler] = {}
        self._known: set[Ticket] = set()
        self._missed: set[Ticket] = set()
        self._loop = HandlerLoop()
        self._execution: Execution
        self._relay = Relay(self._log)
        self._is_here = True
        os.register_at_fork(after_in_child=self._forget)

    def live(self) -> None:
        """Do what one is told, until told to end."""
        threading.Thread(target=self._listen, name="parent (listener)", daemon=True).start()
        threading.Thread(target=self._talk, name="parent (talker)", daemon=True).start()
        readiness = Readiness(self._loop)
        try:
            setup = pickle.loads(self._told.get()[1])  # noqa: S301 - by our parent
            set_levels(setup["levels"])
            logging.root.addHandler(self._relay)
            _prepare(setup["preparation"])
            for name in setup["modules"]:
                importlib.import_module(name)
            readiness.prepare(self._handlers, setup["check_s"])
            self._execution = Execution(readiness, setup["retry_base_s"], setup["retry_cap_s"])
        except BaseException as error:
            self.say(Kind.FAILED, f"{type(error).__name__}: {error}".encode())
            sys.exit(1)
        self.say(Kind.READY)
        while True:
            kind, data = self._told.get()
            if kind is Kind.CLOSE:
                break
            self._do(data)
        close_here()
        if self._loop.loop is not None:
            self._loop.run(self._loop.keeper.close())
        readiness.close()
        try:
            stop()
        except Exception:
            logger.exception("services failed to shut down")

    def say(self, kind: Kind, data: bytes = b"") -> None:
        """Send a frame. Not for code that may be interrupted, which would leave half of one."""
        try:
            with self._saying:
                self._socket.sendall(frame(kind, data))
        except OSError:
            os._exit(1)  # to a parent that is dead

    def _log(self, data: bytes) -> None:
        """Have the talker send a record, and wait until it has: it may be the last word before a crash."""
        is_said = threading.Lock()
        is_said.acquire()
        self._to_log.put((data, is_said))
        is_said.acquire()

    def _forget(self) -> None:
        """In a process that a handler forks off: it is none of the pool, and must not be taken for this one."""
        self._is_here = False
        self._socket.close()
        logging.root.removeHandler(self._relay)

    # The main thread

    def _do(self, data: bytes) -> None:
        ticket, is_marked, *fields = pickle.loads(data)  # noqa: S301 - by our parent
        job = Job(Lease(*fields), is_marked=is_marked)
        job.name = ticket.name
        if (trouble := self._trouble_with(ticket)) is not None:
            job.ending, job.reason = Ending.HOLD, trouble
        else:
            self._job, job.handler = job, self._handlers[ticket.name]
            # Whatever the task leaves in context variables ends with it.
            contextvars.copy_context().run(self._call, job)
            self._job = None
        if not self._is_here:
            os._exit(0)
        ending = job.ending.value if job.ending else None
        self.say(Kind.DONE, pickle.dumps((ending, job.report, job.reason, job.delay_ms, job.run_s)))

    def _call(self, job: Job) -> None:
        if job.handler.is_coroutine:
            self._loop.run(self._execution.run_async(job, self._seat), job)
        else:
            self._execution.run(job, self._seat)

    def _trouble_with(self, ticket: Ticket) -> str | None:
        """Import a handler, unless that was done; return why it can't be."""
        if ticket in self._known:
            return None
        try:
            self._handlers[ticket.name] = handler_for(ticket)
        except BaseException as error:
            if ticket not in self._missed:  # once: it is tried again and again
                self._missed.add(ticket)
                logger.exception("the handler of task %r can't be imported in its process", ticket.name)
            return f"{ticket.module}.{ticket.qualname} can't be imported: {type(error).__name__}: {error}"
        self._known.add(ticket)
        return None

    # The other threads

    def _listen(self) -> None:
        while True:
            length, kind = HEAD.unpack(self._read(HEAD.size))
            data = self._read(length)
            if kind == Kind.INTERRUPT:
                number, _, order = data.decode().partition(" ")
                if not self._interrupt(Order(order)):
                    self.say(Kind.MISSED, number.encode())
            else:
                self._told.put((Kind(kind), data))

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._pay_what_is_owed()
            try:
                chunk = self._socket.recv(min(size - len(data), CHUNK_BYTES))
            except OSError:  # it had not read all that was said
                chunk = b""
            if not chunk:
                # The parent is dead: nobody would hear of the outcome, and the task runs again elsewhere.
                os._exit(1)
            data += chunk
        return bytes(data)

    def _interrupt(self, order: Order) -> bool:
        job = self._job
        # A handler that was just announced is about to sit down.
        for _ in range(_LOOKS):
            if job is None or job is not self._job:
                break
            if self._seat.interrupt(job, order, time.monotonic()):
                self._wake_main()
                return True
            time.sleep(_A_MOMENT_S)
        return False

    def _pay_what_is_owed(self) -> None:
        """Interrupt a handler that could not be when it was told to end, as soon as it can be."""
        while self._seat.is_owed and not select.select([self._socket], [], [], _A_MOMENT_S)[0]:
            self._seat.pay()
            self._wake_main()

    def _wake_main(self) -> None:
        # What was thrown need not wait for a call that signals end.
        signal.pthread_kill(self._seat.thread_id, signal.SIGINT)

    def _talk(self) -> None:
        while True:
            data, is_said = self._to_log.get()
            self.say(Kind.LOG, data)
            is_said.release()


class _Seat(Seat):
    """Where the main thread's handler sits; the parent keeps the time."""

    __slots__ = ("_inside",)

    def __init__(self, inside: Inside) -> None:
        super().__init__(lambda _at: None)
        self._inside = inside

    @property
    def is_owed(self) -> bool:
        """Whether a handler was told to end, and it would have done harm to throw that into it just then."""
        return self._is_owed

    def pay(self) -> None:
        """Throw what is owed, if it does no harm now."""
        with self._lock:
            if self._is_owed:
                self._throw_if_harmless()

    def _announce(self, job: Job) -> None:
        super()._announce(job)
        self._inside.say(Kind.BEGUN, repr(job.deadline - time.monotonic()).encode())


def _prepare(preparation: dict[str, Any]) -> None:
    """Become what a process of multiprocessing is, the parent's main module included, which is imported."""
    here = multiprocessing.process.current_process()
    here._inheriting = True  # type: ignore[attr-defined]  # so that a main module without its guard starts nothing
    try:
        multiprocessing.spawn.prepare(preparation)
    finally:
        del here._inheriting  # type: ignore[attr-defined]


def _die_with(parent: int) -> None:
    """Have the kernel end this process with its parent, even while native code lets no thread of it run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
