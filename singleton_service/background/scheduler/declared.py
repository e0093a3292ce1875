"""Schedules that are declared in code: `schedule=` of a `@task`, `cron_schedule` of a class, and the default ones."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from singleton_service.background.expressions import parse
from singleton_service.background.task_queue.mould import DEFAULT_QUEUE

from .defaults import default_schedules
from .definition import Definition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from singleton_service.background.config import PlainSettings
    from singleton_service.background.task_queue.handlers import Handler

    from .definition import Moment
    from .store import Store

_OF_HANDLERS = "handler."


def declared_id(handler: Handler) -> str:
    """Return the id of a handler's own schedule: another expression or queue is still the same schedule, changed."""
    return f"{_OF_HANDLERS}{handler.name}"


def declared_schedule(handler: Handler) -> Definition | None:
    """Return the schedule that a handler declares; None when it declares none."""
    policy = handler.policy
    if policy.schedule is None:
        return None
    queue = policy.queue or DEFAULT_QUEUE
    return Definition(handler.name, b"{}", parse(policy.schedule), queue, moments=_moments_of(handler))


def _moments_of(handler: Handler) -> tuple[tuple[str, Moment], ...]:
    try:
        needed = handler.form.moments if handler.form is not None else {}
    except TypeError:
        # Its annotations can't be used: check_declared says so, or its first fire.
        return ()
    # Sorted, as they are stored.
    return tuple((name, "datetime" if kind is datetime else "date") for name, kind in sorted(needed.items()))


def all_declared(settings: PlainSettings, handlers: Iterable[Handler]) -> dict[str, Definition]:
    """Return what a process declares, by id."""
    found = default_schedules(settings)
    for handler in handlers:
        definition = declared_schedule(handler)
        if definition is not None:
            found[declared_id(handler)] = definition
    return found


def declare_all(store: Store, declared: Mapping[str, Definition], now_ms: int) -> int:
    """Say what this process declares; return how many schedules of handlers are new or changed by that."""
    items = [(key, definition.encode(), definition.next_after(now_ms)) for key, definition in declared.items()]
    verdicts = store.declare(items)
    return sum(is_new for key, is_new in zip(declared, verdicts, strict=True) if key.startswith(_OF_HANDLERS))


def check_declared(handler: Handler) -> None:
    """See that a handler with a schedule can be called with no arguments but its instant, as its schedule will.

    Not when it is defined: its annotations may name what comes later in its module.

    Raises:
        ValueError: it can't.
        TypeError: its annotations can't be used.
    """
    definition = declared_schedule(handler)
    if definition is None or handler.form is None:
        return
    try:
        handler.form.dump(definition.payload_at(0))
    except ValueError as error:
        raise ValueError(
            f"task {handler.name!r} has a schedule, which passes its instant to arguments that are a date or a "
            f"datetime, and nothing else: {error}. Give the others defaults"
        ) from None
