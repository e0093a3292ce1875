"""Schedules that are declared in code: `schedule=` of a `@task`, `cron_schedule` of a class, and the default ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.expressions import parse
from singleton_service.background.task_queue.requests import DEFAULT_QUEUE

from .defaults import default_schedules
from .definition import Definition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from singleton_service.background.config import Settings
    from singleton_service.background.task_queue.handlers import Handler

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
    return Definition(handler.name, b"{}", parse(policy.schedule), policy.queue or DEFAULT_QUEUE)


def all_declared(settings: Settings, handlers: Iterable[Handler]) -> dict[str, Definition]:
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
    """See that a handler with a schedule can be called without arguments, as its schedule will.

    Not when it is defined: its annotations may name what comes later in its module.

    Raises:
        ValueError: it can't.
        TypeError: its annotations can't be used.
    """
    if handler.policy.schedule is None or handler.form is None:
        return
    try:
        handler.form.dump({})
    except ValueError as error:
        raise ValueError(
            f"task {handler.name!r} has a schedule, which calls it without arguments: {error}. Give them defaults; for "
            "which instant it is called, current_task().scheduled_for says"
        ) from None
