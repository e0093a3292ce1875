"""The parent's loop: one thread, which waits for children, signals and time."""

from __future__ import annotations

import logging
import math
import os
import selectors
import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from singleton_service.background.worker.systemd import notify

from .child import Child
from .obituary import ended
from .program import Limits
from .recoverer import Recoverer
from .relief import Relief
from .slot import Slot
from .words import News, Order, stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .program import Program

logger = logging.getLogger("singleton_service.supervisor")

# What a stop may take beyond the time that running tasks have: services that close, a server that hangs.
_BEYOND_S = 10.0
_LEAVE_S = 8.0
_CLOSE_S = 3.0
_TELL_SYSTEMD_S = 1.0


class Supervisor:
    """Starts programs, starts the dead again, replaces who has served long enough, and ends all together.

    Args:
        programs: what to run.
        patience_s: how long running tasks have when it is told to stop.
        limits: when a process is to be replaced.
        has_workers: whether children take tasks, which go on elsewhere at once when one dies.
        waits_for_changes: whether one that can't even be started is left alone until `replace_all` is called.
        on_loaded: is called, once for each program, with what its first process has to show of the user's code.
        output_of: makes a descriptor for what a child prints, from its name; None: it prints where its parent does.
    """

    def __init__(  # noqa: PLR0913 - what it is asked for, by name
        self,
        programs: Sequence[Program],
        *,
        patience_s: float,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        has_workers: bool = True,
        waits_for_changes: bool = False,
        on_loaded: Callable[[Program, Any], object] = lambda _program, _shown: None,
        output_of: Callable[[str], int | None] = lambda _name: None,
    ) -> None:
        self._patience_s = patience_s
        self._has_workers = has_workers
        self._waits_for_changes = waits_for_changes
        self._on_loaded = on_loaded
        self._output_of = output_of
        # The others wait until the first one could import the user's code: one error, not one from each.
        self._slots = [
            Slot(program.name if program.number == 1 else f"{program.name} {n + 1}", program, math.inf if n else 0.0)
            for program in programs
            for n in range(program.number)
        ]
        self._loaded: set[Program] = set()
        self._stops = 0
        self._code = 0
        self._relief = Relief(limits, self._slots, self._start)
        self._are_changes_waiting = False
        self._selector = selectors.DefaultSelector()
        self._signals, self._signalled = os.pipe()
        for end in (self._signals, self._signalled):
            os.set_blocking(end, False)
        self._recoverer: Recoverer | None = None
        self._tell_systemd_at = 0.0 if os.environ.get("NOTIFY_SOCKET") else math.inf

    def run(self) -> int:
        """Run until told to stop, or until all programs have done their part; on the main thread.

        Returns:
            0 after a stop; the code of a child that could not be started the first time; where programs may end, the
            highest one that one of them ended with.
        """
        with self._watched_signals():
            try:
                while not self._is_over():
                    for key, _ in self._selector.select(self._wait_s()):
                        key.data()
                    self._look()
            finally:
                self._end()
        return self._code

    def replace_all(self) -> None:
        """Have every process followed by a new one, which sees the user's code as it is now. Any thread."""
        self._are_changes_waiting = True
        with suppress(OSError):  # it has ended
            os.write(self._signalled, b"\0")

    # Life and death

    def _start(self, slot: Slot) -> Child | None:
        slot.start_at = math.inf
        output = self._output_of(slot.name)
        try:
            child = Child(slot.name, slot.program.command, output)
        except OSError as error:
            delay_s = slot.after_death_s(0.0)
            slot.start_at = time.monotonic() + delay_s
            logger.warning("%s could not be started: %s; trying again in %.1f s", slot.name, error, delay_s)
            return None
        finally:
            if output is not None:
                os.close(output)
        self._selector.register(child.line, selectors.EVENT_READ, lambda: self._hear(slot, child))
        return child

    def _hear(self, slot: Slot, child: Child) -> None:
        words = child.listen()
        if words is None:
            self._selector.unregister(child.line)  # of its death the kernel tells
        elif News.LOADED in words:
            self._note_loaded(slot.program, child)

    def _note_loaded(self, program: Program, child: Child) -> None:
        if self._has_workers and self._recoverer is None:
            self._recoverer = Recoverer()
        if program not in self._loaded:
            self._loaded.add(program)
            self._on_loaded(program, child.loaded)
            if self._loaded == {slot.program for slot in self._slots}:
                notify("READY=1")
        child.let_begin()
        for slot in self._slots:
            if slot.program == program and slot.child is None and not slot.is_done and not self._stops:
                slot.start_at = min(slot.start_at, time.monotonic())

    def _look_for_dead(self) -> None:
        for slot in self._slots:
            for child in tuple(slot.everybody()):
                if (code := child.poll()) is not None:
                    self._bury(slot, child, code)

    def _bury(self, slot: Slot, child: Child, code: int) -> None:
        if child.line in self._selector.get_map():
            self._selector.unregister(child.line)
        child.close()
        was_there = child is slot.child
        was_successor = child is slot.successor
        slot.bury(child)
        if not was_there:
            self._relief.note_end(slot, was_successor=was_successor)
        if child.was_told is not None:
            self._note_end(slot.program, child, code)
        elif was_successor:
            logger.warning("%s, pid %d, which was to take over, %s", child.name, child.pid, ended(code))
        elif slot.successor is not None:
            slot.succeed()
            self._relief.break_off()
            logger.warning("%s, pid %d, %s; the next one is there already", child.name, child.pid, ended(code))
        else:
            self._decide(slot, child, code)
        if code != 0 and self._recoverer is not None and child.worker_ids:
            self._recoverer.recover(child.worker_ids)
        if slot.program.is_alone and slot.child is None and not slot.leaving and child.was_told and not self._stops:
            slot.start_at = time.monotonic()

    def _note_end(self, program: Program, child: Child, code: int) -> None:
        if program.may_end and code != 0:
            self._code = 1  # it was not done
        if code != 0 and child.loaded is not None:
            logger.warning("%s, pid %d, was told to end, and %s", child.name, child.pid, ended(code))

    def _decide(self, slot: Slot, child: Child, code: int) -> None:
        """Choose what becomes of the place of one that ended of itself."""
        program = slot.program
        if program.may_end and child.loaded is not None and code in {0, 1}:
            slot.is_done = True
            self._code = max(self._code, code)
            return
        if child.loaded is None and code > 0:
            if self._waits_for_changes:
                logger.warning("%s %s; it is started again when a file changes", child.name, ended(code))
                return
            if program not in self._loaded:
                # It has said why, and would say it again and again.
                self._code = code
                self._stop()
                return
        delay_s = slot.after_death_s(child.lived_s)
        slot.start_at = time.monotonic() + delay_s
        logger.warning(
            "%s, pid %d, %s; another one is started in %g s", child.name, child.pid, ended(code), round(delay_s, 2)
        )

    # Time

    def _wait_s(self) -> float | None:
        now = time.monotonic()
        events = [self._tell_systemd_at, *(slot.start_at for slot in self._slots)]
        events += [child.kill_at for slot in self._slots for child in slot.everybody()]
        wait_s = min(min(events) - now, math.inf if self._stops else self._relief.next_s(now))
        return None if wait_s == math.inf else max(0.0, wait_s)

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._tell_systemd_at:
            self._tell_systemd_at = now + _TELL_SYSTEMD_S
            notify("WATCHDOG=1")
        self._look_for_dead()
        for slot in self._slots:
            if slot.start_at <= now and slot.child is None and not self._stops:
                slot.child = self._start(slot)
            for child in slot.everybody():
                if child.kill_at <= now:
                    logger.warning("%s, pid %d, did not end when it was told to: killing it", child.name, child.pid)
                    child.kill()
        if self._stops:
            return
        if self._are_changes_waiting:
            self._are_changes_waiting = False
            self._replace_all_now()
        self._relief.look(now)

    def _is_over(self) -> bool:
        is_anybody_there = any(True for slot in self._slots for _ in slot.everybody())
        return not is_anybody_there and (self._stops > 0 or all(slot.is_done for slot in self._slots))

    def _replace_all_now(self) -> None:
        self._relief.break_off()
        for slot in self._slots:
            if slot.successor is not None:
                slot.successor.tell(Order.LEAVE, _LEAVE_S)
                slot.leaving.append(slot.successor)
                slot.successor = None
            leaver = slot.succeed()
            if leaver is not None:
                leaver.tell(Order.DRAIN, self._patience_s + _BEYOND_S)
            is_first = slot is next(other for other in self._slots if other.program == slot.program)
            if is_first and not (slot.program.is_alone and slot.leaving):
                slot.start_at = time.monotonic()

    # The end

    def _stop(self) -> None:
        """Tell all to end: in peace, then at once, then not at all any more."""
        self._stops += 1
        notify("STOPPING=1")
        for slot in self._slots:
            slot.start_at = math.inf
            for child in slot.everybody():
                if self._stops == 1:
                    child.tell(Order.DRAIN, self._patience_s + _BEYOND_S)
                elif self._stops == 2:
                    child.tell(Order.LEAVE, _LEAVE_S)
                else:
                    child.kill()

    def _end(self) -> None:
        for slot in self._slots:
            for child in slot.everybody():  # only after an error
                child.kill()
                child.poll()
        self._selector.close()
        if self._recoverer is not None:
            self._recoverer.close(_CLOSE_S)
            if self._recoverer.buried and any(slot.program.may_end for slot in self._slots):
                self._code = max(self._code, 1)  # nobody else knows of their failure

    # Signals

    @contextmanager
    def _watched_signals(self) -> Iterator[None]:
        self._selector.register(self._signals, selectors.EVENT_READ, self._take_signals)
        numbers = (*stopping(), signal.SIGCHLD)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        former = signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(former)
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            ends, self._signals, self._signalled = (self._signals, self._signalled), -1, -1
            for end in ends:
                os.close(end)

    def _take_signals(self) -> None:
        for number in os.read(self._signals, 512):
            if number not in {0, signal.SIGCHLD}:
                if self._stops == 0:
                    logger.info(
                        "%s: ending when running tasks have ended; once more hands them back at once",
                        signal.Signals(number).name,
                    )
                self._stop()
