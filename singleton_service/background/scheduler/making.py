"""Making schedules at run time, and changing what they do, from any process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singleton_service.background.config import settings_in_force
from singleton_service.background.expressions import parse
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.availability import guarded
from singleton_service.background.task_queue.checks import check_name, encode_payload
from singleton_service.background.task_queue.ids import check_queue
from singleton_service.background.task_queue.mould import DEFAULT_QUEUE

from .defaults import clean_up
from .definition import (
    Definition,
    check_bounds,
    check_jitter,
    check_max_runs,
    check_missed,
    check_overlap,
    check_own_id,
    check_schedule_id,
    sorted_json,
)
from .firing import BY_HAND, request_for
from .opened import Opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from .definition import Missed, Overlap
    from .store import State

# Somebody else changes the same schedule at the same moment, each time.
_MOST_TRIES = 20


class Making(Opened):
    """The half of SchedulerService that changes schedules."""

    @classmethod
    def schedule_task(  # noqa: PLR0913 - the one call users make; each argument is theirs
        cls,
        name: str,
        payload: Mapping[str, Any] | None,
        expression: str | timedelta,
        *,
        id: str | None = None,  # noqa: A002 - what users call it
        timezone: str = "UTC",
        queue: str | None = None,
        start_at: datetime | None = None,
        until: datetime | None = None,
        max_runs: int | None = None,
        missed: Missed = "one",
        overlap: Overlap = "allow",
        jitter_seconds: float = 0,
    ) -> str:
        """Enqueue a task again and again, and return the schedule's id.

        The schedule lies on the server: it outlives this process, and every scheduler there is fires it, each instant
        once. The same call again, at each start of a program for instance, changes nothing and keeps its instants;
        another one with the same id takes its place. `unschedule` ends it.

        The task carries `schedule_id` and `scheduled_for`; a handler reads them from `current_task()`.

        Args:
            name: of the handler that shall do it.
            payload: as for `enqueue_task`; a copy is kept.
            expression: when; docs/reference/expressions.md lists what it takes. Intervals count from 1970 UTC, so all
                processes mean the same instants: "every 15 minutes" is at :00, :15, :30 and :45.
            id: made of name, payload, expression, timezone and queue unless given: `<name>-<8 hex digits>`.
            timezone: the IANA name of the zone whose clock the expression means.
            queue: unless given, the task's own if this process knows it by now, else "default". All processes that
                have the schedule must mean the same one.
            start_at: no instant is before it; a naive datetime is this process's local time, as for `until`.
            until: no instant is after it.
            max_runs: it is over once so many instants have become tasks.
            missed: what becomes of instants at which no scheduler could fire, and more than 10 s have passed since:
                "one" fires the latest of them, unless a younger one is fired anyway; "skip" none; "all" each, the
                latest 100 at most.
            overlap: when an instant comes and the task of the one before has not ended: "allow" enqueues it all the
                same, "skip" does not, "queue" has it wait for that end, first come, first served.
            jitter_seconds: each task starts up to so much later than its instant, by chance, to spread load; at most a
                day. `scheduled_for` is the instant all the same.

        Raises:
            ValueError, TypeError: an argument can't be used; nothing was scheduled.
            QueueUnavailableError: the server is not there.
        """
        recurrence = parse(expression, timezone)
        check_name(name)
        if id is not None:
            check_own_id(id)
        handler = TaskQueueService._task_handlers.get(name)
        if handler is not None and handler.form is not None:
            # Checked, and kept as it was given: where nobody knows the handler, the schedule must be the same.
            handler.form.dump(payload)
        if queue is None:
            queue = (handler and handler.policy.queue) or DEFAULT_QUEUE
        start_ms, until_ms = check_bounds(start_at, until)
        payload_json = encode_payload(payload, settings_in_force().max_payload_bytes)
        definition = Definition(
            name,
            sorted_json(payload_json),
            recurrence,
            check_queue(queue),
            start_ms,
            until_ms,
            check_max_runs(max_runs),
            check_missed(missed),
            check_overlap(overlap),
            check_jitter(jitter_seconds),
        )
        schedule_id = check_own_id(definition.default_id) if id is None else id
        cls._put(schedule_id, definition)
        return schedule_id

    @classmethod
    @guarded
    def _put(cls, schedule_id: str, definition: Definition) -> None:
        now_ms = cls._server_now_ms()
        if cls._open_store().put(schedule_id, definition.encode(), definition.next_after(now_ms)):
            cls._jobs_scheduled += 1

    @classmethod
    @guarded
    def unschedule(cls, id: str) -> bool:  # noqa: A002 - what users call it
        """End a schedule everywhere; False when there is none by that id. What it enqueued stays enqueued.

        One that is declared in code comes back when a process that declares it starts its scheduler.

        Raises:
            ValueError, TypeError: no schedule can have this id.
            QueueUnavailableError: the server is not there.
        """
        return cls._open_store().remove(check_schedule_id(id))

    @classmethod
    @guarded
    def pause_job(cls, id: str) -> bool:  # noqa: A002 - what users call it
        """Have a schedule fire no more until `resume_job`; False when there is none by that id.

        It stays paused when processes start and when its definition changes. What is enqueued already runs.

        Raises:
            ValueError, TypeError: no schedule can have this id.
            QueueUnavailableError: the server is not there.
        """

        def pause(state: State, _: Definition) -> str:
            return cls._open_store().pause(id, state.revision)

        return cls._change(id, pause)

    @classmethod
    @guarded
    def resume_job(cls, id: str) -> bool:  # noqa: A002 - what users call it
        """Have a paused schedule go on with its next instant; False when there is none by that id.

        What went by while it was paused counts neither as fired nor as missed.

        Raises:
            ValueError, TypeError: no schedule can have this id.
            QueueUnavailableError: the server is not there.
        """
        now_ms = cls._server_now_ms()

        def resume(state: State, definition: Definition) -> str:
            is_over = definition.max_runs is not None and state.runs >= definition.max_runs
            next_ms = None if is_over else definition.next_after(now_ms)
            return cls._open_store().resume(id, state.revision, next_ms)

        return cls._change(id, resume)

    @classmethod
    def _change(cls, schedule_id: str, change: Any) -> bool:
        for _ in range(_MOST_TRIES):
            found = cls._find(schedule_id)
            if found is None:
                return False
            verdict = change(*found)
            if verdict != "changed":
                return bool(verdict != "unknown")
        raise RuntimeError(f"schedule {schedule_id!r} was changed by others {_MOST_TRIES} times meanwhile: try again")

    @classmethod
    @guarded
    def run_now(cls, id: str) -> str | None:  # noqa: A002 - what users call it
        """Fire a schedule now, beside its instants, paused or not, and return the task's id.

        The task's `scheduled_for` is now. With overlap="skip" the id may be that of the task that has not ended.

        Returns:
            None when there is no schedule by that id, or when it is work that a scheduler does by itself.

        Raises:
            ValueError, TypeError: no schedule can have this id, or its task can't be enqueued.
            QueueUnavailableError: the server is not there.
            NotAcceptingError, QueueFullError: as for `enqueue_task`.
        """
        found = cls._find(id)
        if found is None:
            return None
        definition, now_ms = found[1], cls._server_now_ms()
        task_id = None
        if definition.queue is None:
            clean_up()
        else:
            (outcome,) = TaskQueueService._enqueue_fires([request_for(id, definition, now_ms, by_hand=True)])
            if isinstance(outcome, Exception):
                raise outcome
            task_id = outcome
        cls._open_store().note(id, f"{now_ms}|{BY_HAND}|{task_id or ''}")
        return task_id
