"""`queues`: what lies in each queue; pause, resume and purge one."""

from __future__ import annotations

from typing import Any

import click

from singleton_service.background.task_queue import TaskQueueService

from .choosing import confirm, count, known_queue, unstarted, yes_option
from .output import Cell, Column, Table, json_option, note, write_json, write_line, write_table

# Key of the JSON -> that of get_queue_stats().
_COUNTS = {
    "pending": "pending_tasks",
    "delayed": "delayed_tasks",
    "running": "running_tasks",
    "held": "held_tasks",
    "failed": "failed_tasks",
    "completed": "tasks_processed",
    "workers": "workers",
}


def queue_states() -> list[dict[str, Any]]:
    """Return what lies in each queue now, by name; `completed` counts since the queue began."""
    states = []
    for name in TaskQueueService.list_queues():
        stats = TaskQueueService.get_queue_stats(name)
        counts = {key: stats[field] for key, field in _COUNTS.items()}
        states.append({"name": name, **counts, "paused": bool(stats["paused_queues"])})
    return states


def queues_table(states: list[dict[str, Any]]) -> Table:
    """Return queues as a table, a row each."""
    numbers = [Column(name, is_number=True, may_go=name in {"held", "completed"}) for name in _COUNTS]
    table = Table([Column("queue"), *numbers, Column("state")])
    for state in states:
        cells = [Cell(f"{state[key]}", _style(key, state[key])) for key in _COUNTS]
        table.add(state["name"], *cells, Cell("paused" if state["paused"] else "", "yellow"))
    return table


def _style(key: str, number: int) -> str:
    if not number:
        return "dim"
    return {"failed": "red", "held": "yellow", "running": "cyan"}.get(key, "")


@click.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    """List queues and count what lies in them.

    Counting takes the same short time however many tasks there are.
    """
    states = queue_states()
    if as_json:
        write_json({"queues": states})
    elif states:
        write_table(queues_table(states))
    else:
        note("no queues yet: they come with their first task")


@click.command("pause")
@click.argument("queue")
@json_option
def pause_command(queue: str, *, as_json: bool) -> None:
    """Hand out no more tasks of a queue.

    Running ones go on; new ones are taken in.
    """
    changed = TaskQueueService.pause_queue(known_queue(queue))
    _tell(queue, "is paused" if changed else "was paused already", as_json=as_json, changed=changed)


@click.command("resume")
@click.argument("queue")
@json_option
def resume_command(queue: str, *, as_json: bool) -> None:
    """Hand out tasks of a paused queue again."""
    changed = TaskQueueService.resume_queue(known_queue(queue))
    _tell(queue, "goes on" if changed else "was not paused", as_json=as_json, changed=changed)


@click.command("purge")
@click.argument("queue")
@yes_option
@json_option
def purge_command(queue: str, *, yes: bool, as_json: bool) -> None:
    """Cancel everything in a queue that has not started."""
    if number := unstarted(TaskQueueService.get_queue_stats(known_queue(queue))):
        confirm(f"Cancel {count(number)} of queue {queue!r}?", yes=yes)
    cancelled = TaskQueueService.purge_queue(queue)
    if as_json:
        write_json({"queue": queue, "cancelled": cancelled})
    else:
        write_line(f"cancelled {count(cancelled)} of queue {queue!r}")


def _tell(queue: str, what: str, *, as_json: bool, changed: bool) -> None:
    if as_json:
        write_json({"queue": queue, "changed": changed})
    else:
        write_line(f"queue {queue!r} {what}")
