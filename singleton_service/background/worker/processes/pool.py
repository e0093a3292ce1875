"""The pool of processes: one thread for all of them, which gives them jobs, keeps the time and buries the dead."""

from __future__ import annotations

import logging
import math
import selectors
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.bell import Bell
from singleton_service.background.task_queue.errors import ProcessDiedError
from singleton_service.background.worker.executor import take_all, tell_of_drop
from singleton_service.background.worker.job import Ending
from singleton_service.background.worker.seat import Order

from .frames import Kind as FrameKind
from .logs import log_here
from .travel import ticket_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.config import PlainSettings
    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.worker.execution import Execution
    from singleton_service.background.worker.executor import Kind
    from singleton_service.background.worker.job import Job

    from .child import Child
    from .travel import Ticket

logger = logging.getLogger("singleton_service.worker")

SERVICES_END_S = 5.0
"""How long the services in a process may take to shut down, before it is killed."""
# Processes that die as they start: the next one waits.
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_STARTS_WITHIN_S = 60.0
_STUMBLE_S = 0.1


class ProcessPool:
    """The executor of `execution="process"`: up to *size* spawned processes, each doing one task at a time.

    They start when there is work for them: a worker that gets no such task has no such process, and one that gets few
    has few. An idle one stays, for the next task.
    """

    kind: Kind = "process"

    def __init__(
        self, size: int, execution: Execution, done: deque[Job], ring: Callable[[], None], settings: PlainSettings
    ) -> None:
        self.size = size
        self._execution = execution
        self._done = done
        self._ring = ring
        self._settings = settings
        self._grace_s = settings.interrupt_grace_seconds
        self._inbox: deque[Job] = deque()
        self._to_cancel: deque[tuple[Job, Order]] = deque()
        self._tickets: dict[str, tuple[Handler, Ticket]] = {}
        self._children: list[Child] = []
        # Given to a process that died before it called the handler: not the task's doing, the first time.
        self._given_twice: set[Job] = set()
        self._failures = 0
        self._trouble = ""
        self._again_at = 0.0
        self._started = 0
        self._is_closing = self._is_hurried = self._is_asleep = False
        self._bell: Bell
        self._selector: selectors.BaseSelector
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    # For other threads

    def start(self) -> None:
        """Do nothing: the thread and the processes begin with the first jobs."""

    def submit(self, job: Job) -> None:
        """Have a job done by the next free process, first come first served."""
        self._inbox.append(job)
        if self._thread is None:
            self._begin()
        self._wake()

    def cancel(self, job: Job, order: Order) -> None:
        """Interrupt the job if its handler runs here; if it has not begun, it won't be."""
        if job.has_begun:
            self._to_cancel.append((job, order))
            self._wake()
        else:
            job.order = order

    def abandon(self, job: Job) -> None:
        """Kill the process that has the job."""
        job.is_abandoned = True
        for child in list(self._children):
            if child.job is job:
                child.kill()

    def take_back(self) -> list[Job]:
        """Return the jobs that no process has been given yet; they won't run here."""
        return take_all(self._inbox)

    def close(self) -> None:
        """Let each process end after the job it has now; one whose job was handed back is killed."""
        with self._lock:
            self._is_closing = True
        self._wake()

    def join(self, timeout_s: float) -> None:
        """Wait for the processes to end; after *timeout_s* those that are left are killed.

        It is longer only for their services, which have `SERVICES_END_S` to shut down.
        """
        if self._thread is not None:
            self._thread.join(max(timeout_s, SERVICES_END_S))
            self._is_hurried = True
            self._wake()
            self._thread.join()

    @property
    def is_callers(self) -> bool:
        """Whether the caller is a handler that runs in this pool: those are elsewhere."""
        return False

    def alive(self) -> list[str]:
        """Return the names of the processes that are left after a stop: they are no workers to be counted."""
        return [child.name for child in list(self._children)] if self._is_closing else []

    def _begin(self) -> None:
        with self._lock:
            if self._is_closing:
                return
            self._bell = Bell()
            self._selector = selectors.PollSelector()
            self._selector.register(self._bell, selectors.EVENT_READ)
            self._is_asleep = True
            # The kernel ends the processes with this thread: it must not end before them.
            self._thread = threading.Thread(target=self._run, name="worker-processes", daemon=True)
            self._thread.start()

    def _wake(self) -> None:
        if self._is_asleep:
            self._is_asleep = False
            self._bell.ring()

    # The thread

    def _run(self) -> None:
        try:
            while self._children or not self._is_closing:
                try:
                    self._turn()
                except Exception:
                    logger.exception("the pool of processes stumbled; it goes on")
                    time.sleep(_STUMBLE_S)
                    self._bell.ring()  # to look for what it may have missed
        finally:
            self._selector.close()
            self._bell.close()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._wait_s()):
            child = key.data
            if child is None:
                self._bell.silence()
            elif events & selectors.EVENT_READ:
                self._hear(child)
            else:
                child.line.flush()
        # From here on a ring is kept: what comes after it was looked for has this thread look again.
        self._is_asleep = True
        while self._to_cancel:
            self._interrupt(*self._to_cancel.popleft())
        now = time.monotonic()
        for child in self._children:
            self._keep_time(child, now)
        if not self._is_closing:
            self._hand_out()
        for child in self._children:
            if child.line.has_unsent is not child.waits_for_room:
                child.waits_for_room = child.line.has_unsent
                writes = selectors.EVENT_WRITE if child.waits_for_room else 0
                self._selector.modify(child.line, selectors.EVENT_READ | writes, child)

    def _wait_s(self) -> float | None:
        times = [min(child.interrupt_at, child.kill_at) for child in self._children]
        if self._inbox and len(self._children) < self.size:
            times.append(self._again_at)
        next_at = min(times, default=math.inf)
        return None if next_at == math.inf else max(0.0, next_at - time.monotonic())

    def _hear(self, child: Child) -> None:
        try:
            frames = child.line.receive()
        except EOFError:
            self._bury(child)
            return
        for kind, data in frames:
            if kind is FrameKind.LOG:
                log_here(data, child.job.lease if child.job else None)
            elif kind is FrameKind.DONE:
                self._end(child, data)
            elif kind is FrameKind.BEGUN:
                child.begin(float(data), time.monotonic())
            elif kind is FrameKind.MISSED:
                child.missed(int(data))
            elif kind is FrameKind.READY:
                child.ready()
                self._failures = 0
            elif kind is FrameKind.FAILED:
                child.failure = data.decode()

    # Jobs

    def _hand_out(self) -> None:
        with suppress(IndexError):  # the dispatcher took back what is left
            while self._inbox:
                child = next((child for child in self._children if child.is_idle), None)
                if child is None and (len(self._children) == self.size or time.monotonic() < self._again_at):
                    break
                job = self._inbox.popleft()
                ticket = self._ticket_for(job)
                if ticket is None:
                    self._finish(job)
                elif child is not None or (child := self._new_child()) is not None:
                    child.give(job, ticket)
                else:
                    self._inbox.appendleft(job)
        if not self._children and time.monotonic() < self._again_at:
            for job in self.take_back():
                self._hold(job)
                self._finish(job)

    def _ticket_for(self, job: Job) -> Ticket | None:
        """Return what a process needs to find the job's handler; None: the job has an ending instead."""
        if job.order is not None:
            job.ending = Ending.RELEASE  # cancelled before it began: it ends where its lease ends
            return None
        known = self._tickets.get(job.name)
        if known is None or known[0] is not job.handler:
            try:
                known = self._tickets[job.name] = job.handler, ticket_for(job.handler)
            except Exception as error:
                logger.error("%s", error)  # noqa: TRY400 - it says it all
                job.ending, job.reason = Ending.HOLD, str(error)
                return None
        return known[1]

    def _interrupt(self, job: Job, order: Order) -> None:
        for child in self._children:
            if child.job is job:
                child.interrupt(order, time.monotonic() + self._grace_s)

    def _end(self, child: Child, data: bytes) -> None:
        import pickle  # noqa: PLC0415 - only for handlers in processes

        job = child.end_job()
        if job is not None:
            ending, job.report, job.reason, job.delay_ms, job.run_s = pickle.loads(data)  # noqa: S301 - our own process
            job.ending = Ending(ending)
            self._finish(job)

    def _hold(self, job: Job) -> None:
        job.ending, job.reason = Ending.HOLD, f"no process can be started: {self._trouble}"

    def _finish(self, job: Job) -> None:
        self._given_twice.discard(job)
        if job.is_abandoned:
            tell_of_drop(job)
            return
        self._done.append(job)
        self._ring()

    # Processes

    def _new_child(self) -> Child | None:
        # Here: what spawns processes is as large as the rest of a worker, and most have no such tasks.
        from .child import Child  # noqa: PLC0415

        self._started += 1
        try:
            child = Child(f"worker-process-{self._started}", self._settings, time.monotonic() + _STARTS_WITHIN_S)
        except (OSError, RuntimeError) as error:
            self._failed_to_start(str(error))
            return None
        self._children.append(child)
        self._selector.register(child.line, selectors.EVENT_READ, child)
        return child

    def _failed_to_start(self, reason: str) -> None:
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(self._failures, 30))
        self._failures += 1
        self._trouble, self._again_at = reason, time.monotonic() + wait_s
        logger.error("no process for tasks can be started, next try in %g s: %s", wait_s, reason)

    def _keep_time(self, child: Child, now: float) -> None:
        if self._is_hurried:
            child.kill()
        elif self._is_closing and not child.is_closing:
            if child.job is None:
                child.close(now + SERVICES_END_S)
            elif child.job.is_abandoned:
                child.kill()
        if now >= child.kill_at:
            if child.is_closing or not child.is_ready:
                child.kill()
            else:
                child.kill_soon(now)
        elif now >= child.interrupt_at:
            child.interrupt(Order.TIME_LIMIT, now + self._grace_s)

    def _bury(self, child: Child) -> None:
        self._selector.unregister(child.line)
        self._children.remove(child)
        died, order, has_begun = ProcessDiedError(child.bury()), child.order, child.has_begun
        stack, job = child.last_words(), child.end_job()
        if not (child.is_ready or self._is_closing):
            is_late = child.is_closing
            self._failed_to_start(f"not ready in {_STARTS_WITHIN_S:g} s" if is_late else child.failure or str(died))
        elif job is None and not child.is_closing:
            logger.warning("process %s died between tasks; another takes its place: %s", child.name, died)
        if job is None or job.is_abandoned:
            return
        if self._is_hurried:
            job.ending = Ending.RELEASE
        elif not child.is_ready:
            self._hold(job)
        elif not has_begun and job not in self._given_twice:
            self._given_twice.add(job)
            self._inbox.appendleft(job)
            return
        else:
            job.has_begun, job.order = True, order
            self._have_judged(job, died, stack)
            return
        self._finish(job)

    def _have_judged(self, *verdict: Any) -> None:
        # In a thread of its own: on_error is the user's, and may take its time.
        thread = threading.Thread(target=self._judge, args=verdict, name="worker-process-verdict", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there are no more threads to be had
            self._judge(*verdict)

    def _judge(self, job: Job, died: ProcessDiedError, stack: str | None) -> None:
        self._execution.died(job, died, stack)
        self._finish(job)
