"""Time that passes: the clock stops wherever something is due on the way, and that is done at its own time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.scheduler.clock import ServerClock
from singleton_service.background.scheduler.declared import declare_all
from singleton_service.background.scheduler.definition import decode
from singleton_service.background.scheduler.firing import Firing
from singleton_service.background.scheduler.store import Store
from singleton_service.background.scheduler.timetable import Timetable
from singleton_service.background.task_queue import TaskQueueService, wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from singleton_service.background.scheduler.timetable import Entry

# A schedule for each second, and a month that passes: nobody means that, or waits for it.
_MOST_STOPS = 20_000
_FIRST_BY_SCORE = (b"BYSCORE", b"LIMIT", 0, 1, b"WITHSCORES")


class Passing:
    """From one moment to another, once. The scheduler of that time is whoever calls."""

    def __init__(
        self,
        set_clock: Callable[[int], object],
        around_fires: Callable[[], AbstractContextManager[object]],
        work: Callable[[], object] | None,
        *,
        declares: bool,
    ) -> None:
        """Be ready; the task queue is started.

        Args:
            set_clock: sets the clock, to ms since 1970.
            around_fires: schedules fire in such a context.
            work: does what may start now; None leaves it where it is.
            declares: whether what handlers declare as their schedules is fired, too.
        """
        self._set_clock = set_clock
        self._around_fires = around_fires
        self._work = work
        self._client = TaskQueueService._open_client()
        self._store = Store(self._client, ServerClock())
        self._firing = Firing(self._store)
        self._looked_at_ms = 0
        self._timetable = Timetable(wall_clock.now_ms, self._see_to)
        if declares:
            declare_all(self._store, SchedulerService._in_code(), wall_clock.now_ms())
        self._read_schedules()

    def until(self, ms: int) -> None:
        """Stop where something is due, up to that moment, and go there.

        Raises:
            RuntimeError: it would take too many stops.
        """
        self._do_work()
        stops = 0
        while (next_ms := self._next_ms()) is not None and next_ms <= ms:
            stops += 1
            if stops > _MOST_STOPS:
                raise RuntimeError(
                    f"the clock stopped at {wall_clock.now()}: something was due {_MOST_STOPS:,} times on the way. "
                    "Move it by less, or pause the schedule that fires so often"
                )
            self._stop_at(next_ms)
        # Another machine's clock agrees with ours to some milliseconds.
        self._stop_at(ms)

    def _stop_at(self, ms: int) -> None:
        self._set_clock(max(ms, wall_clock.now_ms()))
        with self._around_fires():
            self._timetable.run_pending()
        self._do_work()

    def _do_work(self) -> None:
        if self._work is not None:
            self._looked_at_ms = wall_clock.now_ms()
            self._work()
            self._read_schedules()

    def _read_schedules(self) -> None:
        self._timetable.empty()
        for found in self._store.read_all():
            state = found.state
            if state is not None and state.is_active and state.next_ms is not None and found.definition is not None:
                self._timetable.add(found.id, decode(found.definition), state.revision, state.next_ms, state.runs)

    def _next_ms(self) -> int | None:
        """Return when the next schedule fires or, if there is somebody to do it, the next task may start."""
        first_ms = self._timetable.first_due_ms()
        moments = [] if first_ms is None else [first_ms]
        if self._work is not None:
            # What was due when that was last looked for was left where it is: its queue is at its limit, say.
            after = f"({self._looked_at_ms}"
            looks = [
                (b"ZRANGE", self._client.protocol(queue).keys.key(name), after, b"+inf", *_FIRST_BY_SCORE)
                for queue in self._client.queues()
                for name in ("due", "held")
            ]
            moments += [int(found[1]) for found in self._client.read(looks) if found]
        return min(moments, default=None)

    def _see_to(self, entries: Sequence[Entry]) -> None:
        stumbles, _ = self._firing.see_to(self._timetable, entries)
        if stumbles:
            raise stumbles[0].error
