"""From instants that have come to tasks: look, enqueue, go on.

Another scheduler may do the same at the same moment, and this one may be killed between any two lines. A task's id
follows from its schedule and instant, so each is enqueued once; the stored instant is moved on by whoever is first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from singleton_service.background.task_queue import TaskQueueService, TaskRequest
from singleton_service.background.task_queue.ids import given_uid, join_id
from singleton_service.background.task_queue.mould import Fire

from .defaults import clean_up
from .definition import fire_task_id, jitter_ms, overlap_key
from .plan import plan_fires
from .store import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .definition import Definition
    from .plan import Plan
    from .store import Store
    from .timetable import Entry, Timetable

# How a fire came about, in a schedule's history.
FIRED, SKIPPED, BY_HAND, OWN_WORK = "f", "s", "h", "o"


@dataclass(frozen=True, slots=True)
class Stumble:
    """A schedule that could not fire, and why."""

    entry: Entry
    error: Exception


class Firing:
    """Sees to what is due.

    Attributes:
        executed: instants that this process saw to.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.executed = 0

    def see_to(self, timetable: Timetable, entries: Sequence[Entry]) -> tuple[list[Stumble], bool]:
        """See to the instants of these entries that have come; all are armed again, or taken out, but the stumbled.

        Returns:
            those that could not fire; and whether some have changed, so that they must be read again.

        Raises:
            QueueUnavailableError, NotAcceptingError: nothing can be enqueued; none was armed.
        """
        now_ms = timetable.clock_ms()
        mine, is_stale = self._still_mine(timetable, entries)
        plans, stumbles = _plan(mine, now_ms)
        outcomes = iter(_enqueue(plans))
        steps: list[tuple[Entry, Step]] = []
        for entry, plan in plans:
            fates = [next(outcomes) for _ in plan.fires]
            error = next((fate for fate in fates if isinstance(fate, Exception)), None)
            if error is None:
                steps.append((entry, _step(entry, plan, [str(fate) for fate in fates])))
            else:
                stumbles.append(Stumble(entry, error))
        if steps:
            self._go_on(timetable, steps)
        return stumbles, is_stale

    def set_instant(self, entry: Entry, next_ms: int) -> None:
        """Have an entry be seen to at another instant, without a word about the one it had."""
        self._store.advance([Step(entry.id, entry.revision, entry.instant_ms, next_ms, 0, 0, "")])

    def _still_mine(self, timetable: Timetable, entries: Sequence[Entry]) -> tuple[list[Entry], bool]:
        """Return those whose instant nobody has seen to yet; the others are armed for what is next."""
        mine, is_stale = [], False
        for entry, state in zip(entries, self._store.look([entry.id for entry in entries]), strict=True):
            if state is None or state.revision != entry.revision:
                timetable.remove(entry.id)
                is_stale = True
            elif state.next_ms is None:
                timetable.remove(entry.id)
            elif state.next_ms != entry.instant_ms:
                timetable.arm(entry, state.next_ms, state.runs)
            else:
                mine.append(entry)
        return mine, is_stale

    def _go_on(self, timetable: Timetable, steps: Sequence[tuple[Entry, Step]]) -> None:
        verdicts = self._store.advance([step for _, step in steps])
        for (entry, step), is_ours in zip(steps, verdicts, strict=True):
            if is_ours:
                self.executed += len(step.lines.splitlines())
            if is_ours and step.next_ms is not None:
                timetable.arm(entry, step.next_ms, entry.runs + step.runs)
            elif is_ours:
                timetable.remove(entry.id)
            else:
                # Somebody was faster, or has changed it: the next look says which.
                timetable.arm(entry, entry.instant_ms, entry.runs)


def request_for(
    schedule_id: str, definition: Definition, instant_ms: int, *, by_hand: bool = False
) -> tuple[TaskRequest, Fire]:
    """Return the task of one fire."""
    assert definition.queue is not None
    later_ms = 0 if by_hand else jitter_ms(schedule_id, instant_ms, definition.jitter_ms)
    request = TaskRequest(
        definition.name,
        definition.payload_at(instant_ms),
        queue=definition.queue,
        eta=datetime.fromtimestamp((instant_ms + later_ms) / 1000, UTC) if later_ms else None,
        unique_key=_unique_key(schedule_id, definition),
        unique="serial" if definition.overlap == "queue" else "drop",
        task_id=None if by_hand else fire_task_id(schedule_id, instant_ms),
    )
    return request, Fire(schedule_id, instant_ms)


def _unique_key(schedule_id: str, definition: Definition) -> str | None:
    handler = TaskQueueService._task_handlers.get(definition.name)
    if definition.overlap == "allow" or (handler is not None and handler.policy.unique_key is not None):
        # One of the task's own says more: none of its tasks run side by side, whoever enqueued them.
        return None
    return overlap_key(schedule_id)


def _plan(entries: Sequence[Entry], now_ms: int) -> tuple[list[tuple[Entry, Plan]], list[Stumble]]:
    plans, stumbles = [], []
    for entry in entries:
        try:
            plans.append((entry, plan_fires(entry.definition, entry.instant_ms, now_ms, entry.runs)))
        except Exception as error:
            # What an expression is asked here it was never asked before: each stands for itself.
            stumbles.append(Stumble(entry, error))
    return plans, stumbles


def _enqueue(plans: Sequence[tuple[Entry, Plan]]) -> list[str | Exception]:
    """Return the task's id for each fire, or why there is none; "" where the scheduler did the work itself."""
    outcomes: list[str | Exception] = []
    requests = []
    for entry, plan in plans:
        for instant_ms in plan.fires:
            if entry.definition.queue is None:
                outcomes.append(_own_work())
            else:
                outcomes.append("to enqueue")
                requests.append((len(outcomes) - 1, request_for(entry.id, entry.definition, instant_ms)))
    enqueued = TaskQueueService._enqueue_fires([request for _, request in requests])
    for (place, _), outcome in zip(requests, enqueued, strict=True):
        outcomes[place] = outcome
    return outcomes


def _own_work() -> str | Exception:
    try:
        clean_up()
    except Exception as error:
        return error
    return ""


def _step(entry: Entry, plan: Plan, task_ids: Sequence[str]) -> Step:
    definition, lines, runs = entry.definition, [], 0
    for instant_ms, task_id in zip(plan.fires, task_ids, strict=True):
        how = OWN_WORK
        if definition.queue is not None:
            own_id = join_id(definition.queue, given_uid(fire_task_id(entry.id, instant_ms)))
            how = FIRED if task_id == own_id else SKIPPED
        runs += how != SKIPPED
        lines.append(f"{instant_ms}|{how}|{task_id}")
    is_over = definition.max_runs is not None and entry.runs + runs >= definition.max_runs
    next_ms = None if is_over else plan.next_ms
    return Step(entry.id, entry.revision, entry.instant_ms, next_ms, runs, plan.missed, "\n".join(lines))
