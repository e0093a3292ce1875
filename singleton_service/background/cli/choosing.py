"""Which tasks or queues a verb is about, and whether it may: what can't be undone shows a count and asks."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from singleton_service.background.task_queue import TaskQueueService

from .problems import CommandError, ExitCode, usage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from singleton_service.background.task_queue import Task, TaskStatus

F = TypeVar("F", bound="Callable[..., Any]")

yes_option = click.option("--yes", "-y", is_flag=True, help="Don't ask.")
queue_option = click.option("--queue", metavar="QUEUE", help="Only those of this queue.")
name_option = click.option("--name", metavar="NAME", help="Only tasks of this name.")

_PAGE = 1000


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether something is to be done that can't be undone, unless *yes*.

    Raises:
        CommandError: the answer is no, or there is nobody to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} There is nobody to ask", fix="say --yes (-y)", code=ExitCode.USAGE)
    if not click.confirm(question, err=True):
        raise CommandError("nothing was changed", code=ExitCode.FAILED)


def check_chosen(ids: Sequence[str], queue: str | None, name: str | None, *, everything: bool) -> None:
    """See that a call says which tasks it is about: some by their ids, or all of a kind.

    Raises:
        CommandError: it says neither, or both.
    """
    by_kind = everything or queue is not None or name is not None
    if ids and by_kind:
        raise CommandError("name tasks by their ids, or all by --queue, --name or --all: not both", code=ExitCode.USAGE)
    if not ids and not by_kind:
        raise CommandError("which tasks?", fix="name their ids, or --queue, --name or --all", code=ExitCode.USAGE)


def known_queue(name: str) -> str:
    """Return the name of a queue that was ever used.

    Raises:
        CommandError: none of this name was.
    """
    names = TaskQueueService.list_queues()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise CommandError(
            f"there is no queue {name!r}{hint}",
            f"queues come with their first task; there are: {', '.join(names) or 'none'}",
            code=ExitCode.NOT_FOUND,
        )
    return name


def each_task(status: TaskStatus | str | None, queue: str | None, name: str | None) -> Iterator[Task]:
    """Yield all tasks of a kind; one that changes meanwhile may come twice."""
    cursor: str | None = None
    while True:
        with usage_errors():
            page = TaskQueueService.list_tasks(status=status, queue=queue, name=name, limit=_PAGE, cursor=cursor)
        yield from page.tasks
        cursor = page.cursor
        if cursor is None:
            return


def unstarted(stats: Mapping[str, int]) -> int:
    """Return how many tasks have not started, of what `get_queue_stats()` counts."""
    return stats["pending_tasks"] + stats["delayed_tasks"] + stats["held_tasks"]


def count(n: int, kind: str = "") -> str:
    """Return a number of tasks in words: `1 task`, `2,000 failed tasks`."""
    return f"{n:,} {kind}{' ' if kind else ''}{'task' if n == 1 else 'tasks'}"
