"""`tasks list` and `tasks show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from singleton_service.background.task_queue import TaskQueueService, TaskStatus

from .choosing import known_queue, name_option, queue_option
from .foreseen import no_such_task
from .output import json_option, note, write_json, write_line, write_pairs, write_table
from .problems import usage_errors
from .showing import clock, error_text, note_of, status_cell, task_json, tasks_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singleton_service.background.task_queue import Task

_PAGE = 1000
# Of many failed attempts so many of the first are kept, and some of the last.
_FIRST_KEPT = 3


@click.command("list")
@click.option("--status", type=click.Choice([status.value for status in TaskStatus]), help="Only those.")
@queue_option
@name_option
@click.option("--tag", metavar="TAG", help="Only tasks with this tag.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@click.option("--cursor", metavar="TEXT", help="Go on where an earlier list ended.")
@json_option
def list_command(  # noqa: PLR0913 - an option each
    status: str | None,
    queue: str | None,
    name: str | None,
    tag: str | None,
    limit: int,
    cursor: str | None,
    *,
    as_json: bool,
) -> None:
    """List tasks.

    They come in the server's order, so many as --limit says; what is shown is sorted by age.
    """
    if queue is not None:
        known_queue(queue)
    tasks: dict[str, Task] = {}
    while len(tasks) < limit:
        with usage_errors():
            page = TaskQueueService.list_tasks(
                status=status, queue=queue, name=name, tag=tag, limit=min(_PAGE, limit - len(tasks)), cursor=cursor
            )
        tasks.update((task.id, task) for task in page.tasks)
        cursor = page.cursor
        if cursor is None:
            break
    found = sorted(tasks.values(), key=lambda task: task.created_at)
    if as_json:
        write_json({"tasks": [task_json(task) for task in found], "cursor": cursor})
        return
    if found:
        write_table(tasks_table(found))
    else:
        note("no tasks")
    if cursor is not None:
        note(f"there may be more: --limit {limit * 10}, or --cursor '{cursor}'")


@click.command("show")
@click.argument("task_id", metavar="ID")
@json_option
def show_command(task_id: str, *, as_json: bool) -> None:
    """Show all there is to know of a task."""
    task = TaskQueueService.get_task_status(task_id)
    if task is None:
        raise no_such_task(task_id)
    if as_json:
        write_json(task_json(task))
        return
    write_pairs(list(_told(task)))
    if task.errors:
        write_line("")
    for number, error in enumerate(task.errors, start=1):
        if task.errors_left_out and number == _FIRST_KEPT + 1:
            write_line(f"{task.errors_left_out:,} attempts between these are not kept")
        number_then = number if number <= _FIRST_KEPT else number + task.errors_left_out
        write_line(f"attempt {number_then} failed {clock(error.when)}: {error_text(error)}")
        following = task.errors[number].traceback if number < len(task.errors) else None
        if error.traceback and error.traceback != following:
            write_line(error.traceback.rstrip())


def _told(task: Task) -> Iterator[tuple[str, str, str]]:
    """Yield what a task has: heading, text, style."""
    yield "id", task.id, "bold"
    status = status_cell(task)
    about = note_of(task)
    yield "status", f"{status.text}, {about}" if about else status.text, status.style
    yield "name", task.name, ""
    yield "queue", f"{task.queue}, priority {task.priority.name.lower()}", ""
    yield "payload", json.dumps(task.payload, ensure_ascii=False), ""
    if task.status is TaskStatus.COMPLETED:
        yield "result", json.dumps(task.result, ensure_ascii=False), "green"
    yield "retries", f"{task.retry_count} of {task.max_retries}", ""
    moments = {
        "created": task.created_at,
        "due": task.eta,
        "started": task.started_at,
        "ended": task.completed_at,
        "expires": task.expires_at,
        "scheduled for": task.scheduled_for,
    }
    yield from ((heading, clock(when), "") for heading, when in moments.items() if when is not None)
    words = {
        "worker": task.worker_id,
        "tags": ", ".join(task.tags),
        "unique key": task.unique_key,
        "limit key": task.limit_key,
        "schedule": task.schedule_id,
        "time limit": f"{task.timeout:g} s" if task.timeout is not None else None,
    }
    yield from ((heading, text, "") for heading, text in words.items() if text)
