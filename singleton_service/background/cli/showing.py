"""Tasks as people and programs get to see them."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from singleton_service.background.config.masking import mask_url
from singleton_service.background.task_queue import Progress, Task, TaskError, TaskStatus

from .output import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singleton_service.background.config import PlainSettings

STYLES = {
    TaskStatus.PENDING: "",
    TaskStatus.RUNNING: "cyan",
    TaskStatus.COMPLETED: "green",
    TaskStatus.FAILED: "red",
    TaskStatus.RETRYING: "yellow",
    TaskStatus.CANCELLED: "dim",
    TaskStatus.EXPIRED: "dim",
}
_NOTE_CHARS = 200
_SPANS = ((86_400, "d"), (3600, "h"), (60, "m"))


def task_json(task: Task) -> dict[str, Any]:
    """Return all there is to know of a task: its fields by name, times in ISO 8601, None where there is nothing."""
    return {each.name: _plain(getattr(task, each.name)) for each in fields(task) if not each.name.startswith("_")}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case IntEnum():
            return value.name.lower()
        case Progress() | TaskError():
            return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def tasks_table(tasks: Iterable[Task]) -> Table:
    """Return tasks as a table, a row each."""
    table = Table(
        [Column("id"), Column("status"), Column("name"), Column("age", is_number=True), Column("note", is_prose=True)]
    )
    for task in tasks:
        table.add(task.id, status_cell(task), task.name, span((now() - task.created_at).total_seconds()), note_of(task))
    return table


def status_cell(task: Task) -> Cell:
    """Return a task's status; one that is set aside is held."""
    if task.held_reason:
        return Cell("held", "yellow")
    return Cell(task.status.value, STYLES[task.status])


def note_of(task: Task) -> str:
    """Return in a few words what is worth to be known beside a task's status."""
    said = ""
    if task.held_reason:
        said = task.held_reason
    elif task.status in {TaskStatus.FAILED, TaskStatus.RETRYING} and task.errors:
        said = error_text(task.errors[-1])
    elif task.progress is not None:
        said = f"{task.progress.percent:g} % {task.progress.message}"
    elif task.eta is not None:
        said = f"due {relative(task.eta)}"
    elif task.status is TaskStatus.COMPLETED and task.started_at and task.completed_at:
        said = f"took {_exactly((task.completed_at - task.started_at).total_seconds())}"
    if task.status is TaskStatus.RETRYING and task.eta is not None:
        said = f"again {relative(task.eta)}; {said}"
    words = " ".join(said.split())
    return words if len(words) <= _NOTE_CHARS else f"{words[: _NOTE_CHARS - 1]}…"


def error_text(error: TaskError) -> str:
    """Return a failed attempt's error: its type and what it said."""
    # What a worker puts before it is no news beside the word "failed".
    return f"{error.type}: {error.message.removeprefix('Task execution failed: ')}"


def server_text(settings: PlainSettings) -> str:
    """Return which server these settings mean, without secrets."""
    if settings.redis_url is None:
        server = f"embedded, its data in {settings.resolved_data_dir()}"
    else:
        server = mask_url(settings.redis_url)
    return server if settings.namespace == "tasks" else f"{server}, namespace {settings.namespace}"


def now() -> datetime:
    """Return what time it is here; servers may differ a little."""
    return datetime.now(UTC)


def span(seconds: float) -> str:
    """Return a time in few letters: `250ms`, `12s`, `5m`, `3h`, `2d`."""
    if 0 < seconds < 0.9995:
        return f"{max(1, round(seconds * 1000))}ms"
    whole = max(0, round(seconds))
    for size, unit in _SPANS:
        # A moment after somebody said "in an hour" it is still an hour.
        if whole >= 0.99 * size:
            return f"{round(whole / size)}{unit}"
    return f"{whole}s"


def _exactly(seconds: float) -> str:
    return f"{seconds:.1f}s" if 0.9995 <= seconds < 9.95 else span(seconds)


def relative(when: datetime) -> str:
    """Return how long ago something was, or in how long it is."""
    seconds = (when - now()).total_seconds()
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def clock(when: datetime) -> str:
    """Return a point in time for a person: local, and how far away it is."""
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S} ({relative(when)})"
