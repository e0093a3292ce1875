"""What a worker or a scheduler shows of itself when it starts, on stderr."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from singleton_service.background.config import settings_in_force
from singleton_service.background.worker.metrics import processors

from .problems import is_colourful
from .showing import server_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singleton_service.background.task_queue.handlers import Handler
    from singleton_service.background.task_queue.order import QueueOrder

_MOST_ROWS = 20
_WIDTH = 10
_WHERE = {"thread": "in a thread", "async": "on the event loop", "process": "in a process of its own"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to show. `tasks` are name, where it runs, queue; `schedules` name, expression."""

    title: str
    server: str
    queues: str | None
    at_once: str | None
    tasks: list[list[str]]
    schedules: list[list[str]]

    def as_json(self) -> dict[str, Any]:
        """Return it as it travels to a parent, who makes it anew by `Facts(**it)`."""
        return asdict(self)


def facts(title: str, handlers: Sequence[Handler], *, threads: int | None, order: QueueOrder) -> Facts:
    """Gather what there is to show. Asks no server: it may be away.

    Raises:
        ConfigError: a setting can't be used.
    """
    settings = settings_in_force()
    server = server_text(settings)
    at_once = queues = None
    tasks: list[list[str]] = []
    if threads is not None:
        queues = ", ".join(order.names) if order.weights is None else f"{str(order).replace(',', ', ')}, by weight"
        at_once = f"{threads} threads, {settings.async_concurrency} coroutines"
        if any(handler.kind == "process" for handler in handlers):
            at_once += f", {settings.processes or processors()} processes for tasks"
        tasks = [[known.name, _WHERE[known.kind], known.policy.queue or ""] for known in handlers]
    schedules = [[known.name, str(known.policy.schedule)] for known in handlers if known.policy.schedule is not None]
    return Facts(title, server, queues, at_once, sorted(tasks), sorted(schedules))


def print_banner(shown: Facts, *, fires: bool, processes: int | None = None, reload: bool = False) -> None:
    """Show it on stderr.

    Args:
        shown: of one process.
        fires: whether schedules fire.
        processes: how many there are like it, under a supervisor; None: it is alone.
        reload: whether they start anew when a file changes.
    """
    lines = [_styled(f"singleton-service {version('singleton-service')}, {shown.title}", bold=True)]
    lines += _row("server", shown.server)
    if shown.queues is not None and shown.at_once is not None:
        lines += [*_row("queues", shown.queues), *_row("at once", _each(processes) + shown.at_once)]
    lines += _rows("tasks", [[name, where, queue and f"queue {queue}"] for name, where, queue in shown.tasks])
    lines += _rows("schedules", shown.schedules) if fires else []
    lines += _row("files", "watched: what changes starts anew") if reload else []
    end = "ends it when running tasks have ended; once more hands them back at once"
    lines += _row("Ctrl-C", end if shown.tasks else "ends it")
    sys.stderr.write("".join(f"{line}\n" for line in ["", *lines, ""]))
    sys.stderr.flush()


def _row(label: str, text: str) -> list[str]:
    return [f"  {_styled(label.ljust(_WIDTH), dim=True)} {text}"]


def _rows(label: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for n, row in enumerate(rows[:_MOST_ROWS]):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield from _row("" if n else label, text.rstrip())
    if len(rows) > _MOST_ROWS:
        yield from _row("", f"and {len(rows) - _MOST_ROWS} more")


def _each(processes: int | None) -> str:
    if processes is None:
        return ""
    return "1 process with " if processes == 1 else f"{processes} processes, each with "


def _styled(text: str, *, bold: bool | None = None, dim: bool | None = None) -> str:
    return click.style(text, bold=bold, dim=dim) if is_colourful(sys.stderr.isatty()) else text
