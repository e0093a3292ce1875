"""The dispatcher: one thread per worker process that fetches tasks, feeds the executors, acknowledges, in batches.

Each turn is one round trip: the endings of what has finished, a word on what has begun, and a fetch for what there
is room for. While it is under way the executors go on, so the next turn's batch is as large as the load makes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.errors import QueueUnavailableError, TaskQueueError
from singleton_service.background.task_queue.outage import backoff_s
from singleton_service.background.task_queue.scripts import MAX_BATCH

from .dispatcher_loop import DispatcherLoop, server_of
from .feeds import Feeds
from .fetching import Fetching
from .in_hand import InHand
from .job import Ending, Job
from .outbox import Outbox
from .seat import Order
from .wakeup import WakeUp, Woken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.task_queue.heartbeat import Heartbeat
    from singleton_service.background.task_queue.lease import Lease
    from singleton_service.background.task_queue.link import Command
    from singleton_service.background.task_queue.order import QueueOrder
    from singleton_service.background.task_queue.protocol import Beat

    from .executor import Executor
    from .pool import ThreadPool
    from .stats import WorkerCounters

logger = logging.getLogger("singleton_service.worker")

# A server that answers nobody for so long is taken for gone.
_READ_TIMEOUT_S = 3.0
_LOOK_ABOVE_S = 0.01
# Where enough waits to be run, endings are gathered for so long before they are told.
_GATHER_S = 0.001
# What one round trip carries at most, but for a single report that is larger.
_MAX_REPORT_BYTES = 4 * 1024 * 1024
# What is cut off by a stop has this long to end before its task is handed back all the same, and is told that often.
_CUT_OFF_ENDS_S = 1.0
_CUT_OFF_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Brought:
    """What has become of what the server woke us with.

    Attributes:
        turned_away: jobs that go back.
        said: of what begins, with the answer still to be read.
    """

    woken: Woken
    turned_away: Sequence[Job] = ()
    said: Sequence[Command] = ()


class Dispatcher:
    """Moves tasks between the queues and the executors. Its thread is the only one that touches its connections.

    While nothing is in hand a pool thread sleeps in its place, and begins what comes, while the dispatcher's waits.

    Attributes:
        done: where executors put the jobs that have ended; they ring then.
        cut_off: how many tasks were handed back before their handlers were done.
        rounds: how often its loop went round. One that stands still does nothing, however alive its thread.
    """

    def __init__(
        self,
        client: QueueClient,
        heartbeat: Heartbeat,
        order: QueueOrder,
        handlers: Mapping[str, Handler],
        counters: WorkerCounters,
    ) -> None:
        self._client = client
        self._heartbeat = heartbeat
        self._leases = heartbeat.leases
        self._handlers = handlers
        self._counters = counters
        self._link = client.new_link(_READ_TIMEOUT_S)
        self._feeds = Feeds(order)
        self._wake_up = WakeUp(client, order.names, heartbeat)
        self._in_hand: InHand
        self._pool: ThreadPool
        self._fetching: Fetching
        self._outbox = Outbox(client, heartbeat.leases, counters)
        self._last_refusal = ""
        self._failures = 0
        self._looked_above_at = 0.0
        self._beats: deque[tuple[str, Beat]] = deque()
        self._stop_by: float | None = None
        self._told_to_end: set[Lease] = set()
        self.done: deque[Job] = deque()
        self._stop_called = threading.Event()
        # A life of the loop may end before that, and another follow.
        self._ended = threading.Event()
        self._loop = DispatcherLoop(self, counters)
        self._server = server_of(self._loop)
        self.cut_off = 0
        self.rounds = 0
        self._cut_off_since: float | None = None

    def start(self, executors: Sequence[Executor], pool: ThreadPool) -> None:
        """Begin to take tasks for these executors, one of each kind; *pool* is the one that can keep watch."""
        self._pool = pool
        self._in_hand = InHand(executors, self._handlers, self.done, self._feeds.ranks)
        self._fetching = Fetching(self._client, self._feeds, self._in_hand)
        self._heartbeat.listen(self._hear)
        self._heartbeat.watch(self._feeds.queues)
        self._server.start()

    def stop(self, timeout_s: float) -> None:
        """Take no more tasks, hand back what has not begun, and after *timeout_s* what has not ended. Returns at once.

        What has not ended is interrupted, and handed back as it ends, at the latest a second later. Called again it
        only brings the end nearer.
        """
        stop_by = time.monotonic() + timeout_s
        self._stop_by = stop_by if self._stop_by is None else min(self._stop_by, stop_by)
        self._stop_called.set()
        self.ring()

    def hurry(self, within_s: float = 0.0) -> None:
        """End a stop that is under way, after *within_s*. Takes no lock: it is called from signal handlers."""
        stop_by = time.monotonic() + within_s
        self._stop_by = stop_by if self._stop_by is None else min(self._stop_by, stop_by)
        self.ring()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of a stop; whether it has come."""
        if not self._ended.wait(timeout_s):
            return False
        self._server.stop()
        return self._server.join_all()

    def ring(self) -> None:
        """Say that there is something to look at. Any thread, at any time."""
        self._wake_up.ring()

    def close(self) -> None:
        """Let go of connections; done by itself at the end of a stop."""
        self._heartbeat.ignore(self._hear)
        self._wake_up.close()
        self._link.close()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs; not while a life that died has no successor yet."""
        return self._loop.is_running

    @property
    def running(self) -> dict[str, int]:
        """How many handlers of each kind run now."""
        return self._in_hand.running

    # The loop

    def run(self) -> None:
        """Dispatch until a stop has come to its end; to be called by the loop's thread."""
        while not self._has_ended():
            try:
                self._turn()
            except QueueUnavailableError as error:
                self._lost_server(error)
            except TaskQueueError as error:
                self._isolate(error)
            self.rounds += 1
        self.close()
        self._ended.set()

    def begin_anew(self) -> None:
        """Go on after an error that nobody foresaw: what is in hand stays, what was said is doubted."""
        self._link.close()
        self._wake_up.disarm()
        self._outbox.doubt()
        self._feeds.hope_all()
        for queue in self._feeds.queues:
            self._heartbeat.doubt(queue)

    def _turn(self) -> None:
        now = time.monotonic()
        self._take_beats(now)
        if not self._outbox:
            self._collect(now)
        stop_by = self._stop_by
        if stop_by is not None:
            self._wind_up(now, stop_by)
        else:
            self._hand_back_stalled(now)
            if alone := self._in_hand.send_gathered(now):
                self._hand_back(alone)
        begun = self._in_hand.note_begun()
        queue, room, looks_soon = None, 0, False
        if stop_by is None:
            queue = self._fetching.next_queue(now)
            room = self._fetching.room(queue, now)
            looks_soon = self._fetching.looks_soon(queue, now)
        if room == 0 or looks_soon:
            queue, room = None, 0
        says_something = bool(self._outbox or begun or queue)
        if says_something:
            self._exchange(begun, queue, room, now)
            self._in_hand.start_told(now)
            self._failures = 0
        has_enough = room == 0 and stop_by is None and self._in_hand.waiting
        if has_enough and (says_something or looks_soon or self._fetching.is_to_run_dry(now)):
            # Nobody goes without work meanwhile: with a task or two for each exchange there would be little else.
            time.sleep(_GATHER_S)
        elif not says_something:
            self._sleep(now, stop_by, has_room=room > 0)

    def _wind_up(self, now: float, stop_by: float) -> None:
        if self._wake_up.is_armed:
            # Before anything is over: what was fetched meanwhile is handed back.
            self._wake_up.disarm()
        self._hand_back(self._in_hand.take_back())
        if now >= stop_by:
            self._cut_off_running(now)

    def _take_beats(self, now: float) -> None:
        if self._beats and self._could_take_a_fetch_along():
            # With each beat at most: that is a new connection, and a token alone costs no more than a hop.
            self._wake_up.disarm()
            self._feeds.hope_all()
        while self._beats:
            queue, beat = self._beats.popleft()
            if beat.next_ms is not None:
                self._feeds.due_in(queue, beat.next_ms / 1000, now)
            if beat.cancelled:
                self._in_hand.cancel(queue, beat.cancelled)

    def _could_take_a_fetch_along(self) -> bool:
        """Whether it lay down with the pop alone, for none was idle or leases were in doubt, and that is over."""
        return self._wake_up.is_bare and self._in_hand.idle > 0 and not self._heartbeat.doubts(self._feeds.likeliest)

    def _sleep(self, now: float, stop_by: float | None, *, has_room: bool) -> None:
        timeout_s = float("inf") if stop_by is None else max(_CUT_OFF_AGAIN_S, stop_by - now)
        if self._wake_up.is_lost or self._wake_up.is_in_doubt:
            self._wake_up.disarm()
            self._feeds.hope_all()
            return
        if has_room:
            if quiet_s := self._fetching.quiet_s(now):
                timeout_s = min(timeout_s, *quiet_s.values())
            elif not self._wake_up.is_armed:
                self._wake_up.arm(self._fetching.for_a_sleeper())
            timeout_s = min(timeout_s, self._feeds.wait_s(now))
        timeout_s = min(timeout_s, self._in_hand.look_again_in_s(now))
        self._wake_up.lie_down()
        if self.done or self._beats or self._stop_by != stop_by:
            timeout_s = 0
        if timeout_s > 0 and stop_by is None and self._may_be_watched_for():
            brought = self._pool.watch(lambda: self._sleep_and_begin(timeout_s))
        else:
            brought = self._sleep_and_begin(timeout_s)
        if brought is not None:
            self._follow_up(brought)

    def _may_be_watched_for(self) -> bool:
        """Whether a pool thread may sleep in our place. Not where something runs: its end is to wake us at once."""
        return self._wake_up.has_fetch and self._in_hand.awaits_threads_work and self._pool.is_alive

    def _sleep_and_begin(self, timeout_s: float) -> Brought | None:
        """Sleep, and begin what is brought; in a pool thread nothing more, for it runs the first of it next."""
        woken = self._wake_up.sleep(timeout_s)
        if woken is None:
            return None
        if woken.request is None or woken.fetched is None:
            return Brought(woken)
        return self._begin_brought(woken, woken.request.queue, woken.fetched.leases)

    def _follow_up(self, brought: Brought) -> None:
        """Do what could wait until what was brought has begun."""
        token, request, fetched = brought.woken.token, brought.woken.request, brought.woken.fetched
        if brought.said:
            # With nothing else before it: while this waits, the threads that begin have the interpreter.
            self._link.collect(brought.said)
        if request is not None and fetched is not None:
            self._fetching.brought(request, fetched, brought.turned_away)
        if token is None or (request is not None and token == request.queue):
            return
        self._feeds.hope(token)
        if self._stop_by is not None or self._fetching.room(token, time.monotonic()) == 0:
            # Woken, but with no hand free: somebody else may have one. A fetch of nothing puts the token back, if there
            # is work and if nobody else has meanwhile.
            self._link.run([self._client.protocol(token).fetch(0, 0, take_suspect=False)])

    # One round trip

    def _exchange(self, begun: list[Lease], queue: str | None, room: int, now: float) -> None:
        commands = self._outbox.commands()
        by_queue: dict[str, list[Lease]] = {}
        for lease in begun:
            by_queue.setdefault(lease.queue, []).append(lease)
        commands += [self._client.protocol(name).start(leases) for name, leases in by_queue.items()]
        unheard = self._feeds.unheard(queue or self._fetching.last_queue)
        commands += [(b"EXISTS", self._client.protocol(name).keys.wake) for name in unheard]
        if unheard and self._feeds.is_strict and now - self._looked_above_at > _LOOK_ABOVE_S:
            # Something more urgent may have come since: find out before taking from this one.
            queue = None
        turned_away: list[Job] = []
        if queue:
            replies, turned_away = self._fetch(commands, queue, room)
        else:
            replies = self._link.run(commands)
        # As of the answer: over a slow line, one counted from the question would be old already, for ever.
        self._looked_above_at = time.monotonic()
        first = len(commands) - len(unheard)
        for name, has_token in zip(unheard, replies[first:], strict=True):
            if has_token:
                self._feeds.hope(name)
        self._client.outage.over()
        self._outbox.settle(replies)
        # After that, for these have not been sent.
        self._outbox.release(turned_away)

    def _fetch(self, commands: list[Command], queue: str, room: int) -> tuple[list[Any], list[Job]]:
        """Send *commands* and a fetch, and start what it brings.

        Returns:
            The replies to the commands, and the jobs that have to go back.
        """
        idle = self._in_hand.idle
        request = self._fetching.for_room(queue, room, idle)
        with self._leases.fetching(queue):
            try:
                *replies, reply = self._link.run([*commands, request.command])
            except QueueUnavailableError:
                self._heartbeat.doubt(queue)
                raise
            fetched = self._client.protocol(queue).fetched(reply)
            self._leases.add(fetched.leases)
        turned_away = self._in_hand.add(fetched.leases, idle, time.monotonic()) if fetched.leases else []
        self._fetching.brought(request, fetched, turned_away)
        return replies, turned_away

    def _begin_brought(self, woken: Woken, queue: str, leases: list[Lease]) -> Brought:
        """Begin what a fetch brought that slept: it was asked for with what was in hand then, so some may go back.

        Nobody knows who may die asleep, so none of these counts as begun before we say so.
        """
        must_wait = any(lease.is_suspect for lease in leases) and self._in_hand.waiting
        if self._stop_by is not None or self._in_hand.has_suspect or must_wait:
            turned_away = [Job(lease, is_marked=False) for lease in leases]
            self._outbox.release(turned_away)
            return Brought(woken, turned_away)
        if not leases:
            return Brought(woken)
        idle = self._in_hand.idle
        said = [self._client.protocol(queue).start(leases[:idle])]
        if self._link.is_outlived:
            self._link.close()
        try:
            # On its way before any begins: it may be the one that takes us down.
            self._link.post(said)
        finally:
            turned_away = self._in_hand.add(leases, idle, time.monotonic())
            self._outbox.release(turned_away)
        return Brought(woken, turned_away, said)

    # Jobs

    def _collect(self, now: float) -> None:
        jobs = self._in_hand.collect(MAX_BATCH, _MAX_REPORT_BYTES, now)
        if self._told_to_end:
            told = self._told_to_end
            self._count_cut_off([job for job in jobs if job.ending is Ending.RELEASE and job.lease in told])
        self._outbox.report(jobs)

    def _hand_back_stalled(self, now: float) -> None:
        """Hand back what waits for executors that are at long tasks: it may start at once elsewhere."""
        by_queue: dict[str, list[Job]] = {}
        for job in self._in_hand.stalled(now):
            by_queue.setdefault(job.lease.queue, []).append(job)
        for queue, jobs in by_queue.items():
            self._hand_back(jobs)
            self._fetching.turned_away(queue, jobs)

    def _hand_back(self, jobs: list[Job]) -> None:
        self._in_hand.let_go(jobs)
        self._outbox.release(jobs)

    def _cut_off_running(self, now: float) -> None:
        """Interrupt what still runs, so that it ends before its task runs elsewhere; when late, wait no longer."""
        if self._cut_off_since is None:
            self._cut_off_since = now
        running = self._in_hand.unfinished()
        for job in running:
            # Each time: one may begin just now. What was cancelled before is not cut off.
            if job.order is None:
                self._told_to_end.add(job.lease)
        self._in_hand.interrupt(running, Order.STOP)
        if now >= self._cut_off_since + _CUT_OFF_ENDS_S:
            self._in_hand.abandon(running)
            self._hand_back(running)
            self._count_cut_off(running)

    def _count_cut_off(self, jobs: list[Job]) -> None:
        self.cut_off += len(jobs)
        for job in jobs:
            logger.warning(
                "task %s (%s) did not end in time; it was handed back and runs again", job.lease.id, job.name
            )

    # Bad days

    def _has_ended(self) -> bool:
        if self._stop_by is None:
            return False
        if not len(self._in_hand) and not self._outbox:
            return True
        since = self._cut_off_since
        if self._failures > 0 and since is not None and time.monotonic() >= since + _CUT_OFF_ENDS_S:
            # The server is away and the time is over: the leases end by themselves, and the tasks run again.
            self.cut_off += len(self._in_hand) + self._outbox.unsaid
            return True
        return False

    def _lost_server(self, error: QueueUnavailableError) -> None:
        self._client.outage.noticed(error)
        self._outbox.doubt()
        self._wake_up.disarm()
        self._feeds.hope_all()
        self._pause()

    def _isolate(self, error: TaskQueueError) -> None:
        """The server refused something: send the reports one by one, and give up the one it refuses."""
        self._counters.add(processing_errors=1)
        if str(error) != self._last_refusal:
            # Not each second that it lasts: a newer version's queue stays so until somebody upgrades this worker.
            self._last_refusal = str(error)
            logger.error("%s", error)
        for queue in self._feeds.queues:
            self._heartbeat.doubt(queue)
        self._outbox.send_one_by_one(self._link)
        self._pause()

    def _pause(self) -> None:
        wait_s = backoff_s(self._failures)
        self._failures += 1
        if self._stop_called.is_set():
            time.sleep(min(wait_s, 0.1))
        else:
            self._stop_called.wait(wait_s)

    def _hear(self, queue: str, beat: Beat) -> None:
        """Called by the heartbeat's thread."""
        is_to_rise = self._wake_up.is_lost or self._wake_up.is_in_doubt or self._could_take_a_fetch_along()
        if beat.next_ms is not None or beat.cancelled or is_to_rise:
            self._beats.append((queue, beat))
            self.ring()
