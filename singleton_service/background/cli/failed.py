"""`failed`: the tasks that failed for good, the latest first; retried or deleted by id or in bulk."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

import click

from singleton_service.background.task_queue import TaskQueueService, TaskStatus

from .choosing import (
    check_chosen,
    confirm,
    count,
    each_task,
    known_queue,
    name_option,
    queue_option,
    yes_option,
)
from .output import Column, Table, json_option, note, write_json, write_table
from .problems import usage_errors
from .showing import note_of, relative, task_json
from .tasks_change import delete_each, retry_each, some_ids_argument, tell_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from singleton_service.background.task_queue import Task

_MOST = 1000

_all_option = click.option("--all", "everything", is_flag=True, help="All that have failed.")


def failures_table(tasks: Iterable[Task]) -> Table:
    """Return failed tasks as a table, a row each."""
    table = Table([Column("id"), Column("name"), Column("failed", is_number=True), Column("error", is_prose=True)])
    for task in tasks:
        table.add(task.id, task.name, relative(task.completed_at or task.created_at), note_of(task))
    return table


@click.command("list")
@queue_option
@name_option
@click.option("--limit", type=click.IntRange(1, _MOST), default=20, show_default=True, help="How many.")
@json_option
def list_command(queue: str | None, name: str | None, limit: int, *, as_json: bool) -> None:
    """List tasks that failed for good, the latest first."""
    if queue is not None:
        known_queue(queue)
    if name is None:
        tasks = TaskQueueService.get_recent_failures(limit, queue)
    else:
        # The server has no order of one name's: all of it are looked at.
        found = {task.id: task for task in each_task(TaskStatus.FAILED, queue, name)}
        tasks = nlargest(limit, found.values(), key=lambda task: task.completed_at or task.created_at)
    if as_json:
        write_json({"tasks": [task_json(task) for task in tasks]})
    elif tasks:
        write_table(failures_table(tasks))
    else:
        note("no failed tasks")


@click.command("retry")
@some_ids_argument
@queue_option
@name_option
@_all_option
@yes_option
@json_option
def retry_command(  # noqa: PLR0913 - an option each
    ids: Sequence[str], queue: str | None, name: str | None, *, everything: bool, yes: bool, as_json: bool
) -> None:
    """Put failed tasks back, by id or all of a kind.

    They have all their retries before them.
    """
    check_chosen(ids, queue, name, everything=everything)
    if ids:
        retry_each(ids, as_json=as_json)
        return
    if number := _count(queue, name):
        confirm(f"Retry {count(number, 'failed')}?", yes=yes)
    with usage_errors():
        retried = TaskQueueService.retry_failed([name] if name else None, queue)
    tell_number("retried", retried, as_json=as_json)


@click.command("delete")
@some_ids_argument
@queue_option
@name_option
@_all_option
@yes_option
@json_option
def delete_command(  # noqa: PLR0913 - an option each
    ids: Sequence[str], queue: str | None, name: str | None, *, everything: bool, yes: bool, as_json: bool
) -> None:
    """Forget failed tasks, by id or all of a kind."""
    check_chosen(ids, queue, name, everything=everything)
    if ids:
        delete_each(ids, yes=yes, as_json=as_json)
        return
    if number := _count(queue, name):
        confirm(f"Delete {count(number, 'failed')} for good?", yes=yes)
    with usage_errors():
        deleted = TaskQueueService.delete_failed([name] if name else None, queue)
    tell_number("deleted", deleted, as_json=as_json)


def _count(queue: str | None, name: str | None) -> int:
    if queue is not None:
        known_queue(queue)
    if name is None:
        return TaskQueueService.get_queue_stats(queue)["failed_tasks"]
    return len({task.id for task in each_task(TaskStatus.FAILED, queue, name)})
