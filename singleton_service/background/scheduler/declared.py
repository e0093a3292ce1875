"""Schedules that tasks declare in their own definitions: `schedule=` of a `@task`, `cron_schedule` of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.expressions import parse
from singleton_service.background.task_queue.requests import DEFAULT_QUEUE

from .definition import Definition

if TYPE_CHECKING:
    from singleton_service.background.task_queue.handlers import Handler


def declared_id(handler: Handler) -> str:
    """Return the id of a handler's own schedule: another expression or queue is still the same schedule, changed."""
    return f"handler.{handler.name}"


def declared_schedule(handler: Handler) -> Definition | None:
    """Return the schedule that a handler declares; None when it declares none."""
    policy = handler.policy
    if policy.schedule is None:
        return None
    return Definition(handler.name, b"{}", parse(policy.schedule), policy.queue or DEFAULT_QUEUE)


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
