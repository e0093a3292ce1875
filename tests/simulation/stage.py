"""Time that only moves when nobody has anything to do, and threads that take turns.

The threads are real, so the package's code runs as it is; but one has the turn, all others stand still, and where one
waits the next is the one whose time comes first. What happens is therefore a matter of the seed alone.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from math import inf
from typing import TYPE_CHECKING

from singleton_service.background.task_queue.errors import TaskInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

# Any moment will do; later than 1970 by more than all that is subtracted from it.
BEGINNING_S = 1_700_000_000.0
_LONGEST_END_S = 10.0


class Killed(BaseException):
    """Raised where a thread of a killed process stands: no error, but its end."""


class Process:
    """What dies at once, and stands still at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.stopped_until_s = 0.0
        self.actors: list[Actor] = []


class Actor:
    """A thread with its place in the order of turns."""

    def __init__(self, process: Process, run: Callable[[], object], name: str) -> None:
        self.process = process
        self.run = run
        self.name = name
        self.turn = threading.Semaphore(0)
        self.waits = 0
        self.is_over = False
        self.end: list[Actor] = []
        self.thrown: type[BaseException] | None = None
        process.actors.append(self)


class Stage:
    """The threads of all processes of one seed, and their one clock.

    Attributes:
        now_s: seconds since 1970, on every clock there is.
        errors: what threads died of.
    """

    def __init__(self) -> None:
        self.now_s = BEGINNING_S
        self.errors: list[BaseException] = []
        self._events: list[tuple[float, int, Actor | Callable[[], object], int]] = []
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []
        self._actors: list[Actor] = []
        self.director = Actor(Process("director"), lambda: None, "director")
        self._current = self.director

    @property
    def here(self) -> Process:
        """The process of the thread that has the turn."""
        return self._current.process

    def at(self, when_s: float, what: Callable[[], object]) -> None:
        """Have something happen then, in no thread's turn."""
        heapq.heappush(self._events, (when_s, next(self._numbers), what, 0))

    def spawn(self, process: Process, run: Callable[[], object], name: str) -> Actor:
        """Start a thread; its first turn comes as soon as others wait."""
        actor = Actor(process, run, name)
        self._actors.append(actor)
        thread = threading.Thread(target=self._live, args=(actor,), name=f"simulated-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        self.wake(actor)
        return actor

    def wait(self, until_s: float = inf) -> None:
        """Let others have their turns until it is that late, or until woken.

        Raises:
            Killed: the process was killed meanwhile.
        """
        me = self._current
        if me.process.is_dead:
            raise Killed
        me.waits += 1
        if until_s < inf:
            heapq.heappush(self._events, (max(until_s, self.now_s), next(self._numbers), me, me.waits))
        following = self._following()
        if following is not me:
            following.turn.release()
            me.turn.acquire()
        self._current = me
        if me.process.is_dead:
            raise Killed
        if me.thrown is not None:
            thrown, me.thrown = me.thrown, None
            raise thrown

    def throw(self, actor_id: int) -> bool:
        """Interrupt a thread that waits; that is always harmless here."""
        actor = self._actor(actor_id)
        actor.thrown = TaskInterrupted
        self.wake(actor)
        return True

    def take_back(self, actor_id: int) -> None:
        """Take back what it has not raised yet."""
        self._actor(actor_id).thrown = None

    def _actor(self, actor_id: int) -> Actor:
        return next(one for one in self._actors if id(one) == actor_id)

    def wake(self, actor: Actor) -> None:
        """Let a thread that waits go on now."""
        heapq.heappush(self._events, (self.now_s, next(self._numbers), actor, actor.waits))

    def kill(self, process: Process) -> None:
        """End a process: its threads die where they stand."""
        process.is_dead = True
        for actor in process.actors:
            self.wake(actor)

    def close(self) -> None:
        """See that every thread has ended; all processes are dead by now."""
        for thread in self._threads:
            thread.join(_LONGEST_END_S)
            assert not thread.is_alive(), f"{thread.name} does not end"

    def _following(self) -> Actor:
        while True:
            when_s, _, what, number = heapq.heappop(self._events)
            self.now_s = max(self.now_s, when_s)
            if not isinstance(what, Actor):
                what()
            elif not what.is_over and what.waits == number:
                process = what.process
                if process.is_dead or process.stopped_until_s <= self.now_s:
                    return what
                heapq.heappush(self._events, (process.stopped_until_s, next(self._numbers), what, number))

    def _live(self, actor: Actor) -> None:
        actor.turn.acquire()
        self._current = actor
        try:
            if not actor.process.is_dead:
                actor.run()
        except Killed:
            pass
        except BaseException as error:
            self.errors.append(error)
        actor.is_over = True
        for waiting in actor.end:
            self.wake(waiting)
        self._following().turn.release()
