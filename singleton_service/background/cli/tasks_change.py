"""`tasks retry|cancel|delete`, and the part of them that `failed` shares."""

from __future__ import annotations

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
    unstarted,
    yes_option,
)
from .output import json_option, note, write_json, write_line
from .problems import ExitCode, usage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ids_argument = click.argument("ids", metavar="ID...", nargs=-1, required=True)
some_ids_argument = click.argument("ids", metavar="[ID]...", nargs=-1)


@click.command("retry")
@ids_argument
@json_option
def retry_command(ids: Sequence[str], *, as_json: bool) -> None:
    """Put failed tasks back, with all their retries before them."""
    retry_each(ids, as_json=as_json)


@click.command("cancel")
@some_ids_argument
@queue_option
@name_option
@click.option("--all", "everything", is_flag=True, help="All that have not started.")
@yes_option
@json_option
def cancel_command(  # noqa: PLR0913 - an option each
    ids: Sequence[str], queue: str | None, name: str | None, *, everything: bool, yes: bool, as_json: bool
) -> None:
    """Cancel tasks, by id or all of a kind that have not started.

    One that runs is interrupted by its worker within a second, if its id is named.
    """
    check_chosen(ids, queue, name, everything=everything)
    if ids:
        confirm(f"Cancel {count(len(ids))}?", yes=yes)
        _do_each(ids, TaskQueueService.cancel_task, "cancelled", _why_not_cancelled, as_json=as_json)
        return
    if number := _count(queue, name):
        confirm(f"Cancel {count(number)} that {'has' if number == 1 else 'have'} not started?", yes=yes)
    with usage_errors():
        cancelled = TaskQueueService.cancel_pending([name] if name else None, queue)
    tell_number("cancelled", cancelled, as_json=as_json)


@click.command("delete")
@ids_argument
@yes_option
@json_option
def delete_command(ids: Sequence[str], *, yes: bool, as_json: bool) -> None:
    """Forget tasks that have ended, with their results."""
    delete_each(ids, yes=yes, as_json=as_json)


def retry_each(ids: Sequence[str], *, as_json: bool) -> None:
    """Retry tasks by their ids, and tell of each."""
    _do_each(ids, TaskQueueService.retry_task, "retried", _why_not_retried, as_json=as_json)


def delete_each(ids: Sequence[str], *, yes: bool, as_json: bool) -> None:
    """Delete tasks by their ids, and tell of each."""
    confirm(f"Delete {count(len(ids))} for good?", yes=yes)
    _do_each(ids, TaskQueueService.delete_task, "deleted", _why_not_deleted, as_json=as_json)


def tell_number(done: str, number: int, *, as_json: bool) -> None:
    """Tell how many tasks something was done to."""
    if as_json:
        write_json({done: number})
    else:
        write_line(f"{done} {count(number)}")


def _do_each(
    ids: Sequence[str], change: Callable[[str], bool], done: str, why_not: Callable[[TaskStatus], str], *, as_json: bool
) -> None:
    """Change tasks one by one; the exit code is that of the worst."""
    changed: list[str] = []
    refused: list[dict[str, str]] = []
    code = ExitCode.OK
    for task_id in dict.fromkeys(ids):
        if change(task_id):
            changed.append(task_id)
            continue
        task = TaskQueueService.get_task_status(task_id)
        reason = "nobody knows it" if task is None else why_not(task.status)
        refused.append({"id": task_id, "reason": reason})
        code = max(code, ExitCode.FAILED if task else ExitCode.NOT_FOUND)
    if as_json:
        write_json({done: changed, "refused": refused})
    else:
        for task_id in changed:
            write_line(f"{done} {task_id}")
        for each in refused:
            note(f"not {done}: {each['id']}: {each['reason']}")
    if code:
        raise click.exceptions.Exit(code)


def _count(queue: str | None, name: str | None) -> int:
    if queue is not None:
        known_queue(queue)
    if name is None:
        return unstarted(TaskQueueService.get_queue_stats(queue))
    kinds = (TaskStatus.PENDING, TaskStatus.RETRYING)
    return len({task.id for kind in kinds for task in each_task(kind, queue, name)})


def _why_not_retried(status: TaskStatus) -> str:
    if status is TaskStatus.FAILED:
        return "another task has its unique key by now"
    return f"it is {status}, not failed"


def _why_not_cancelled(status: TaskStatus) -> str:
    return f"it is {status} already"


def _why_not_deleted(status: TaskStatus) -> str:
    return f"it is {status}, and has not ended: cancel it first"
