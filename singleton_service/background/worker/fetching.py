"""What to fetch: from which queue, how much at most, and what an answer says about the next time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .crowding import Crowding
from .lookahead import PORTION
from .wakeup import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.protocol import Fetched

    from .feeds import Feeds
    from .in_hand import InHand
    from .job import Job

_SUSPECT_LOOK_S = 2.0
# What is held ready is a quarter of a second of work.
_RUNS_DRY_S = 0.5
# How often to ask for those kinds of tasks for which there are places, where plenty waits of another.
_LOOK_PAST_S = 0.005


class Fetching:
    """Decides by what is in hand and by what earlier fetches brought; sends nothing. Used by the dispatcher alone.

    Times are `time.monotonic()` seconds.

    Attributes:
        last_queue: which was asked last.
    """

    def __init__(self, client: QueueClient, feeds: Feeds, in_hand: InHand) -> None:
        self._client = client
        self._feeds = feeds
        self._in_hand = in_hand
        self._crowding = Crowding()
        self.last_queue = feeds.queues[0]
        self._suspect_look_at = 0.0
        self._no_suspect_before = 0.0
        self._fetched_at = 0.0

    def next_queue(self, now: float) -> str | None:
        """Return the queue to ask next, if one may have work that is wanted."""
        for queue in self._crowding.queues:
            if self._crowding.has_room(queue, self._rooms(queue, now)):
                self._crowding.forget(queue)
                self._feeds.hope(queue)
        return self._feeds.best(now, self._crowding.quiet_s(now))

    def quiet_s(self, now: float) -> dict[str, float]:
        """Return the queues that are not asked for now, as there was no room for what they had, and for how long."""
        return self._crowding.quiet_s(now)

    def looks_soon(self, queue: str | None, now: float) -> bool:
        """Whether a fetch would be for others than those of whom plenty waits, and the last one was just now."""
        is_late = now - self._fetched_at >= _LOOK_PAST_S
        return queue is not None and not is_late and self._in_hand.has_plenty(queue, now)

    def room(self, queue: str | None, now: float) -> int:
        """Return how many tasks to fetch now, if it is from *queue*."""
        if self._in_hand.has_suspect:
            # A suspect is the only new start while it lasts.
            return 0
        return min(max(self._rooms(queue, now).values()), PORTION)

    def is_to_run_dry(self, now: float) -> bool:
        """Whether nothing shall wait: suspects are fetched only then, so it comes to that now and then, if it can."""
        since_s = now - self._suspect_look_at
        if since_s > _SUSPECT_LOOK_S + _RUNS_DRY_S:
            self._suspect_look_at, since_s = now, 0.0
        return since_s > _SUSPECT_LOOK_S

    def for_room(self, queue: str, room: int, begun: int) -> Request:
        """Return what to send now, where there is room for so many tasks."""
        self._fetched_at = time.monotonic()
        return self._request(queue, self._feeds.share(queue, room), begun)

    def for_a_sleeper(self) -> Request | None:
        """Return what to send along into a sleep.

        Only for what can begin at once: what may wait can as well be fetched when it is known to be there.
        """
        idle = self._in_hand.idle
        return self._request(self._feeds.likeliest, idle, begun=0) if idle else None

    def brought(self, request: Request, fetched: Fetched, turned_away: Sequence[Job]) -> None:
        """Note what came of a request, and which of it had to go back."""
        now = time.monotonic()
        queue, leases = request.queue, fetched.leases
        has_suspect = any(lease.is_suspect for lease in leases)
        is_full = len(leases) >= request.number or has_suspect or fetched.is_cut_short
        next_s = None if fetched.next_ms is None else fetched.next_ms / 1000
        took = len(leases) - len(turned_away)
        self._feeds.found(queue, took, full=is_full, next_s=next_s, now=now)
        self.last_queue = queue
        left = [lane for lane, is_left in zip(request.lanes, fetched.left_aside, strict=True) if is_left]
        self._crowding.left(queue, left, now, took_any=took > 0 or fetched.is_cut_short)
        if turned_away and has_suspect:
            self._no_suspect_before = now + _SUSPECT_LOOK_S
        elif turned_away:
            self.turned_away(queue, turned_away)

    def turned_away(self, queue: str, jobs: Iterable[Job]) -> None:
        """Note that jobs went back for which there was no room: ask again when there is."""
        self._crowding.turned_away(queue, {job.kind for job in jobs if job.kind is not None})

    def _rooms(self, queue: str | None, now: float) -> dict[str, int]:
        return self._in_hand.rooms(queue, now, to_run_dry=self.is_to_run_dry(now))

    def _request(self, queue: str, number: int, begun: int) -> Request:
        """Return a fetch of *number* tasks at most, of which the server shall count so many as begun."""
        now = time.monotonic()
        narrow = self._in_hand.narrow(queue, number, now)
        alone = not self._in_hand.waiting and now >= self._no_suspect_before
        if alone:
            self._suspect_look_at = now
        fetch = self._client.protocol(queue).fetch(number, begun, take_suspect=alone, lanes=narrow.values())
        return Request(queue, number, tuple(narrow), fetch)
