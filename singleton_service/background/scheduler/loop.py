"""The worker that fires what is due, sleeps until the next, and outlives whatever goes wrong."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import (
    NotAcceptingError,
    ProtocolVersionError,
    QueueUnavailableError,
    TaskQueueError,
)
from singleton_service.background.task_queue.bell import Bell
from singleton_service.background.task_queue.outage import backoff_s
from singleton_service.workers import ThreadWorker

from .clock import ServerClock
from .declared import declare_all
from .definition import decode
from .firing import Firing
from .store import Store
from .timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.link import Command

    from .definition import Definition
    from .store import Found
    from .timetable import Entry

logger = logging.getLogger("singleton_service.scheduler")

# A clock that was set, a machine that woke from sleep, and a message that was lost are noticed after this long.
_BEAT_S = 5.0
# At first more often: each answer that comes sooner tells the time better.
_FIRST_BEAT_S = 0.1
# With the server away, it is asked this often at least.
_LONGEST_PAUSE_S = 1.0
_LONGEST_RETRY_S = 60.0
_EAR_TIMEOUT_S = 2.0
# A stored instant so much later than the next one was set by a clock that was wrong.
_WRONG_BY_MS = 60_000


class Loop(ThreadWorker):
    """The thread that drives a timetable while it runs. Can be stopped and started again.

    What it knows of schedules is what it has read: a change is published, and each beat compares revisions in case
    that was not heard.

    Attributes:
        errors: fires that failed; they are tried again.
        scheduled: what this process declared while the loop ran, and what was new or changed by that.
    """

    def __init__(self, client: QueueClient, declared: Callable[[], dict[str, Definition]]) -> None:
        """Make one; it connects in its thread.

        Args:
            client: whose server.
            declared: gives the schedules that this process declares in code, by their ids.
        """
        super().__init__("scheduler")
        self.errors = 0
        self.scheduled = 0
        self.clock = ServerClock()
        self._client = client
        self._declared = declared
        self._store = Store(client, self.clock, self._ask)
        self.firing = Firing(self._store)
        self.timetable = Timetable(self.clock.now_ms, self._fire)
        self._bell = Bell()
        # Asked by any thread.
        self._looks_now = threading.Event()
        self._declares_now = threading.Event()
        # From here on the thread's alone.
        self._ear = client.new_link(_EAR_TIMEOUT_S)
        self._is_subscribed = False
        self._heard_something = False
        self._revision = 0
        self._is_stale = True
        self._next_beat_at = 0.0
        self._beat_s = _FIRST_BEAT_S
        self._outages = 0

    # For any thread

    def stop(self) -> None:
        """Ask the thread to end, and return: it does so at once if it sleeps, else after the fire under way."""
        # Not in a forked child: its parent's thread may hold that lock there, for ever.
        if self.is_alive:
            super().stop()
            self._bell.ring()

    def close(self) -> None:
        """Let go of what it waits with. For one that has ended for good."""
        self._hang_up()
        self._bell.close()

    def look(self) -> None:
        """Have it ask the server for the time and for changes now, not in a few seconds."""
        self._looks_now.set()
        self._bell.ring()

    def declare(self) -> None:
        """Have it say again what this process declares."""
        self._declares_now.set()
        self._bell.ring()

    # In the thread

    def main(self) -> None:
        """Fire what is due until told to stop."""
        # After a life that ended amid a fire, that instant is in nobody's heap.
        self._forget()
        pause_s = 0.0
        try:
            while not self.should_stop():
                try:
                    if pause_s:
                        self._bell.listen(None, pause_s)
                        pause_s = 0.0
                    else:
                        self._turn()
                except QueueUnavailableError as error:
                    self._hang_up()
                    self._client.outage.noticed(error)
                    pause_s = self._next_pause_s()
                    self._next_beat_at, self._beat_s = 0.0, _FIRST_BEAT_S
                except ProtocolVersionError as error:
                    if not self._outages:
                        logger.warning("the scheduler fires nothing: %s", error)
                    self._outages += 1
                    pause_s, self._next_beat_at = _BEAT_S, 0.0
        finally:
            self._hang_up()
            with suppress(TaskQueueError):
                self._store.leave()

    def _turn(self) -> None:
        if self._looks_now.is_set() or self._declares_now.is_set() or time.monotonic() >= self._next_beat_at:
            self._beat()
        if self._is_stale:
            self._read_changes()
        if due := self.timetable.take_due():
            self.timetable.see_to(due)
        elif not self._is_stale:
            self._listen()

    def _beat(self) -> None:
        self._looks_now.clear()
        beat = self._store.beat()
        self._outages = 0
        self._client.outage.over()
        if beat.clock_moved_s < -_WRONG_BY_MS / 1000:
            self._forget()
        if not beat.is_known or self._declares_now.is_set():
            self._declares_now.clear()
            self._declare()
        if beat.revision != self._revision:
            self._is_stale = True
            if self._is_subscribed:
                self._hear()
            if not self._heard_something:
                # A subscription that is not told of changes is none.
                self._hang_up()
            if beat.revision < self._revision:
                # The server came back without its memory.
                self._forget()
        self._heard_something = False
        self._next_beat_at = time.monotonic() + self._beat_s
        self._beat_s = min(_BEAT_S, 2 * self._beat_s)

    def _declare(self) -> None:
        self.scheduled += declare_all(self._store, self._declared(), self.clock.now_ms())
        self._is_stale = True

    def _read_changes(self) -> None:
        is_whole, page = self._store.read(self._revision)
        if not is_whole:
            self._forget()
        elif not page:
            self._is_stale = False
        else:
            for found in page:
                self._take(found)
            self._revision = page[-1].changed

    def _take(self, found: Found) -> None:
        state = found.state
        if state is None or not state.is_active or state.next_ms is None or found.definition is None:
            self.timetable.remove(found.id)
            return
        if state.is_declared and not state.declared_by and found.id in self._declared():
            # Who declared it last is gone: what is said here may be something else.
            self._declares_now.set()
        try:
            definition = decode(found.definition)
        except ValueError as error:
            logger.warning("schedule %r is left to others: %s", found.id, error)
            self.timetable.remove(found.id)
            return
        entry = self.timetable.add(found.id, definition, state.revision, state.next_ms, state.runs)
        self._mend(entry)

    def _mend(self, entry: Entry) -> None:
        """Bring back an instant that only a clock which was wrong can have set."""
        soon_ms = self.clock.now_ms() + _WRONG_BY_MS
        if entry.instant_ms <= soon_ms:
            return
        try:
            next_ms = entry.definition.next_after(soon_ms)
        except Exception:
            logger.exception("schedule %r can't tell its next instant", entry.id)
            return
        if next_ms is not None and entry.instant_ms > next_ms:
            self.firing.set_instant(entry, next_ms)
            self.timetable.arm(entry, next_ms, entry.runs)

    def _fire(self, due: Sequence[Entry]) -> None:
        try:
            stumbles, is_stale = self.firing.see_to(self.timetable, due)
        except (QueueUnavailableError, NotAcceptingError) as error:
            # The same for every schedule: pause, then begin with those that have not been tried.
            self._warn(due, error, is_first=due[0].failures == 0)
            pause_s = self._next_pause_s()
            for entry in due:
                self.timetable.put_off(entry, pause_s)
            if isinstance(error, QueueUnavailableError):
                raise
            return
        self._outages = 0
        self._is_stale |= is_stale
        for stumble in stumbles:
            entry = stumble.entry
            self._warn([entry], stumble.error, is_first=entry.failures == 0)
            self.timetable.put_off(entry, min(_LONGEST_RETRY_S, 0.05 * 2 ** min(entry.failures, 20)))

    def _warn(self, entries: Sequence[Entry], error: Exception, *, is_first: bool) -> None:
        self.errors += len(entries)
        if is_first:
            others = f" and {len(entries) - 1} others" if len(entries) > 1 else ""
            logger.warning(
                "schedule %r%s could not fire, and is tried again: %s",
                entries[0].id,
                others,
                error,
                exc_info=None if isinstance(error, TaskQueueError) else error,
            )

    # Waiting

    def _listen(self) -> None:
        """Sleep until something is due, told or asked."""
        if not self._is_subscribed:
            self._subscribe()
            return
        idle_s = self.timetable.idle_seconds
        until_beat_s = self._next_beat_at - time.monotonic()
        wait_s = until_beat_s if idle_s is None else min(idle_s, until_beat_s)
        if self._bell.listen(self._ear, max(0.0, wait_s)):
            self._hear()

    def _subscribe(self) -> None:
        self._ear.send(b"SUBSCRIBE", self._store.keys.changed_channel)
        self._ear.receive()
        self._is_subscribed = True
        # What changed before this was not published to us.
        self._is_stale = True

    def _hear(self) -> None:
        while self._ear.has_reply():
            self._ear.receive()
            self._heard_something = True
            self._is_stale = True

    def _hang_up(self) -> None:
        self._ear.close()
        self._is_subscribed = False

    def _forget(self) -> None:
        """Know nothing, and read it all again."""
        self.timetable.empty()
        self._revision = 0
        self._is_stale = True

    def _next_pause_s(self) -> float:
        self._outages += 1
        return min(backoff_s(self._outages), _LONGEST_PAUSE_S)

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        # No patience here: whoever waits for the server misses no call to stop.
        return self._client.link.run(commands)
