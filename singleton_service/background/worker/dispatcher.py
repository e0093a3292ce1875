"""The dispatcher: one thread per worker process that fetches tasks, feeds the pool, and acknowledges, in batches.

Each turn is one round trip: the endings of what has finished, a word on what has begun, and a fetch for what there
is room for. While it is under way the pool goes on, so the next turn's batch is as large as the load makes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.errors import QueueUnavailableError, TaskQueueError
from singleton_service.background.task_queue.outage import backoff_s
from singleton_service.background.task_queue.scripts import MAX_BATCH

from .feeds import Feeds
from .in_hand import InHand
from .job import Ending
from .lookahead import HORIZON_S, Lookahead
from .outbox import Outbox
from .wakeup import WakeUp

if TYPE_CHECKING:
    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.heartbeat import Heartbeat
    from singleton_service.background.task_queue.lease import Lease
    from singleton_service.background.task_queue.link import Command
    from singleton_service.background.task_queue.order import QueueOrder
    from singleton_service.background.task_queue.protocol import Beat

    from .executor import Executor
    from .job import Job
    from .stats import WorkerCounters

logger = logging.getLogger("singleton_service.worker")

# A server that answers nobody for so long is taken for gone.
_READ_TIMEOUT_S = 3.0
_SUSPECT_LOOK_S = 2.0
_LOOK_ABOVE_S = 0.01
# What one round trip carries at most, but for a single report that is larger.
_MAX_REPORT_BYTES = 4 * 1024 * 1024
# What is cut off by a stop has this long to end before its task is handed back all the same, and is told that often.
_CUT_OFF_ENDS_S = 1.0
_CUT_OFF_AGAIN_S = 0.05


class Dispatcher:
    """Moves tasks between the queues and one pool. Its thread is the only one that touches its connection.

    Attributes:
        done: where executors put the jobs that have ended; they ring then.
        cut_off: how many tasks were handed back before their handlers were done.
    """

    def __init__(self, client: QueueClient, heartbeat: Heartbeat, order: QueueOrder, counters: WorkerCounters) -> None:
        self._client = client
        self._heartbeat = heartbeat
        self._leases = heartbeat.leases
        self._counters = counters
        self._link = client.new_link(_READ_TIMEOUT_S)
        self._feeds = Feeds(order)
        self._wake_up = WakeUp(client, order.names)
        self._pool: Executor
        self._lookahead: Lookahead
        self._in_hand: InHand
        self._outbox = Outbox(client, heartbeat.leases, counters)
        self._last_refusal = ""
        self._failures = 0
        self._last_queue = order.names[0]
        self._moved_at = 0.0
        self._suspect_look_at = 0.0
        self._looked_above_at = 0.0
        self._beats: deque[tuple[str, Beat]] = deque()
        self._stop_by: float | None = None
        self._told_to_end: set[Lease] = set()
        self.done: deque[Job] = deque()
        self._stop_called = threading.Event()
        # Not by Thread.join: one that a KeyboardInterrupt breaks off takes the thread for dead from then on (CPython
        # before 3.13).
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker-dispatcher", daemon=True)
        self.cut_off = 0

    def start(self, pool: Executor) -> None:
        """Begin to take tasks."""
        self._pool = pool
        self._lookahead = Lookahead(pool.size)
        self._in_hand = InHand(pool, self.done, self._feeds.ranks)
        self._heartbeat.listen(self._hear)
        self._heartbeat.watch(self._feeds.queues)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Take no more tasks, hand back what has not begun, and after *timeout_s* what has not ended. Returns at once.

        What has not ended is interrupted, and handed back as it ends, at the latest a second later. Called again it
        only brings the end nearer.
        """
        stop_by = time.monotonic() + timeout_s
        self._stop_by = stop_by if self._stop_by is None else min(self._stop_by, stop_by)
        self._stop_called.set()
        self.ring()

    def hurry(self) -> None:
        """End a stop that is under way now. Takes no lock: it is called from signal handlers."""
        self._stop_by = time.monotonic()
        self.ring()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of a stop; whether it has come."""
        return self._ended.wait(timeout_s)

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
        """Whether its thread runs."""
        return not self._ended.is_set()

    @property
    def busy(self) -> int:
        """How many handlers run now."""
        return self._in_hand.running

    # The loop

    def _run(self) -> None:
        try:
            while not self._has_ended():
                try:
                    self._turn()
                except QueueUnavailableError as error:
                    self._lost_server(error)
                except TaskQueueError as error:
                    self._isolate(error)
                except Exception:
                    self._counters.add(processing_errors=1)
                    logger.exception("the dispatcher stumbled; it goes on")
                    self._pause()
        finally:
            self.close()
            self._ended.set()

    def _turn(self) -> None:
        now = time.monotonic()
        while self._beats:
            beating, beat = self._beats.popleft()
            if beat.next_ms is not None:
                self._feeds.due_in(beating, beat.next_ms / 1000, now)
            if beat.cancelled:
                self._in_hand.cancel(beating, beat.cancelled)
        if not self._outbox:
            self._collect()
        stop_by = self._stop_by
        if stop_by is not None:
            self._hand_back(self._pool.take_back())
            if now >= stop_by:
                self._cut_off_running(is_late=now >= stop_by + _CUT_OFF_ENDS_S)
        begun = self._in_hand.note_begun()
        queue = None if stop_by is not None else self._feeds.best(now)
        room = 0 if stop_by is not None else self._room(queue)
        if room == 0:
            queue = None
        if self._outbox or begun or queue:
            self._exchange(begun, queue, room, now)
            self._failures = 0
            return
        if self._in_hand.waiting and now - self._moved_at > HORIZON_S:
            # All threads are at long tasks: what waits here may start at once elsewhere.
            self._lookahead.stalled()
            self._hand_back(self._pool.take_back())
            return
        self._sleep(now, room, stop_by)

    def _sleep(self, now: float, room: int, stop_by: float | None) -> None:
        timeout_s = float("inf") if stop_by is None else max(_CUT_OFF_AGAIN_S, stop_by - now)
        if room > 0:
            if self._wake_up.is_lost:
                self._wake_up.disarm()
                self._feeds.hope_all()
                return
            self._wake_up.arm()
            timeout_s = min(timeout_s, self._feeds.wait_s(now))
        if self._in_hand.waiting:
            timeout_s = min(timeout_s, HORIZON_S)
        self._wake_up.lie_down()
        if self.done or self._beats or self._stop_by != stop_by:
            timeout_s = 0
        token = self._wake_up.sleep(timeout_s)
        if token is None:
            return
        self._feeds.hope(token)
        if self._stop_by is not None or self._room(token) == 0:
            # Woken, but with no hand free: somebody else may have one. A fetch of nothing puts the token back, if there
            # is work and if nobody else has meanwhile.
            self._link.run([self._client.protocol(token).fetch(0, 0, take_suspect=False)])

    def _room(self, queue: str | None) -> int:
        """How many tasks to fetch now, if it is from *queue*."""
        in_hand = self._in_hand
        if in_hand.has_suspect:
            # A suspect is the only new start while it lasts.
            return 0
        if queue is not None and in_hand.has_overtaker(queue):
            return self._pool.size
        idle = self._pool.size - len(in_hand)
        ahead = self._lookahead.tasks
        if ahead and time.monotonic() - self._suspect_look_at > _SUSPECT_LOOK_S:
            # Suspects are fetched only with nothing waiting: run dry for a moment now and then.
            ahead = 0
        room = max(idle, idle + ahead)
        if room < 0 or (idle <= 0 and room < ahead // 2):
            # Enough waits; a fuller batch costs less.
            return 0
        return min(room, MAX_BATCH)

    # One round trip

    def _exchange(self, begun: list[Lease], queue: str | None, room: int, now: float) -> None:
        commands = self._outbox.commands()
        by_queue: dict[str, list[Lease]] = {}
        for lease in begun:
            by_queue.setdefault(lease.queue, []).append(lease)
        commands += [self._client.protocol(name).start(leases) for name, leases in by_queue.items()]
        unheard = self._feeds.unheard(queue or self._last_queue)
        commands += [(b"EXISTS", self._client.protocol(name).keys.wake) for name in unheard]
        if unheard and self._feeds.is_strict and now - self._looked_above_at > _LOOK_ABOVE_S:
            # Something more urgent may have come since: find out before taking from this one.
            queue = None
        replies = self._fetch(commands, queue, room) if queue else self._link.run(commands)
        # As of the answer: over a slow line, one counted from the question would be old already, for ever.
        self._looked_above_at = time.monotonic()
        first = len(commands) - len(unheard)
        for name, has_token in zip(unheard, replies[first:], strict=True):
            if has_token:
                self._feeds.hope(name)
        self._client.outage.over()
        self._outbox.settle(replies)

    def _fetch(self, commands: list[Command], queue: str, room: int) -> list[Any]:
        """Send *commands* and a fetch, start what it brings, and return the replies to the commands."""
        protocol = self._client.protocol(queue)
        room = self._feeds.share(queue, room)
        idle = max(0, self._pool.size - len(self._in_hand))
        alone = self._in_hand.waiting == 0
        if alone:
            self._suspect_look_at = time.monotonic()
        with self._leases.fetching(queue):
            try:
                *replies, reply = self._link.run([*commands, protocol.fetch(room, idle, take_suspect=alone)])
            except QueueUnavailableError:
                self._heartbeat.doubt(queue)
                raise
            fetched = protocol.fetched(reply)
            self._leases.add(fetched.leases)
        now = time.monotonic()
        next_s = None if fetched.next_ms is None else fetched.next_ms / 1000
        is_full = len(fetched.leases) >= room or any(lease.is_suspect for lease in fetched.leases)
        self._feeds.found(queue, len(fetched.leases), full=is_full, next_s=next_s, now=now)
        self._last_queue = queue
        if fetched.leases:
            self._moved_at = now
            self._in_hand.add(fetched.leases, idle)
        return replies

    # Jobs

    def _collect(self) -> None:
        jobs = self._in_hand.collect(MAX_BATCH, _MAX_REPORT_BYTES)
        if jobs:
            self._moved_at = time.monotonic()
            self._lookahead.saw([job.run_s for job in jobs if job.ending is not Ending.HOLD])
            if self._told_to_end:
                told = self._told_to_end
                self._count_cut_off([job for job in jobs if job.ending is Ending.RELEASE and job.lease in told])
        self._outbox.report(jobs)

    def _hand_back(self, jobs: list[Job]) -> None:
        self._in_hand.let_go(jobs)
        self._outbox.release(jobs)

    def _cut_off_running(self, *, is_late: bool) -> None:
        """Interrupt what still runs, so that it ends before its task runs elsewhere; when late, wait no longer."""
        running = self._in_hand.unfinished()
        for job in running:
            # Each time: one may begin just now. What was cancelled before is not cut off.
            if job.order is None:
                self._told_to_end.add(job.lease)
            self._pool.cancel(job)
        if is_late:
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
        if self._failures > 0 and time.monotonic() >= self._stop_by + _CUT_OFF_ENDS_S:
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
        if beat.next_ms is not None or beat.cancelled or self._wake_up.is_lost:
            self._beats.append((queue, beat))
            self.ring()
