"""Following a task to its end, as `tasks watch` and `enqueue --wait` do: its result is what goes to stdout.

How it comes along is shown live on a terminal; else it is a line for each change, on stderr.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from singleton_service.background.task_queue import TaskHandle, TaskStatus

from .output import is_terminal, note, terminal, write_json, write_json_line, write_line
from .problems import CommandError, ExitCode, printable
from .showing import note_of, status_cell, task_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singleton_service.background.task_queue import Task


def follow(task_id: str, timeout_s: float | None, *, as_json: bool, every: bool) -> int:
    """Show how a task goes on, and its result, and return the exit code: FAILED unless it completes.

    Args:
        task_id: which.
        timeout_s: how long to wait for its end; None for as long as it takes.
        as_json: print the whole task,
        every: at each change, on a line of its own; else once, at the end.

    Raises:
        TaskNotFoundError: nobody knows it.
        CommandError: it has not ended in time.
    """
    updates = _updates(task_id, timeout_s)
    last: Task | None = None
    if as_json:
        for last in updates:
            if every:
                write_json_line(task_json(last))
        if last is not None and not every:
            write_json(task_json(last))
    else:
        last = _shown_live(updates) if is_terminal() else _shown_in_lines(updates)
        if last is not None:
            _tell_end(last)
    is_completed = last is not None and last.status is TaskStatus.COMPLETED
    return ExitCode.OK if is_completed else ExitCode.FAILED


def _updates(task_id: str, timeout_s: float | None) -> Iterator[Task]:
    last: Task | None = None
    try:
        for last in TaskHandle(task_id).updates(timeout_s):
            yield last
    except TimeoutError as error:
        told = "" if last is None else f"it is {status_cell(last).text} {note_of(last)}".rstrip()
        raise CommandError(
            f"task {task_id!r} has not ended within {timeout_s:g} s", told, f"singleton-service tasks watch {task_id}"
        ) from error


def _shown_in_lines(updates: Iterable[Task]) -> Task | None:
    last, said = None, ""
    for last in updates:
        if last.status.is_final:
            break
        line = f"{status_cell(last).text} {note_of(last)}".rstrip()
        if line != said:
            note(line)
        said = line
    return last


def _shown_live(updates: Iterable[Task]) -> Task | None:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - heavy

    last = None
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[status]}"),
        BarColumn(20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}", markup=False),
    )
    with Progress(*columns, console=terminal(), transient=True) as bar:
        line = bar.add_task("", total=None, status="", said="")
        for last in updates:
            has_come = last.progress is not None
            bar.update(
                line,
                total=100 if has_come else None,
                completed=last.progress.percent if last.progress else 0,
                status=status_cell(last).text,
                said=printable(last.progress.message if last.progress else note_of(last)),
            )
    return last


def _tell_end(task: Task) -> None:
    if task.status is TaskStatus.COMPLETED:
        write_line(json.dumps(task.result, indent=2, ensure_ascii=False))
    else:
        about = note_of(task)
        note(f"{task.status}{': ' if about else ''}{about}")
