"""`worker`, `scheduler`, `run`: what takes tasks and fires schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from singleton_service.background.supervisor import Limits

from .serving import Work, serve
from .supervising import Banner, program, supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., None]

_modules = click.argument("modules", nargs=-1, metavar="[MODULE]...")
_reload = click.option("--reload", is_flag=True, help="Start anew when a .py file below the working directory changes.")
_line = click.option("--line", type=int, hidden=True, help="The descriptor that a supervisor has given.")


def _workers(command: Command) -> Command:
    """Add the options that say how tasks run."""
    for option in reversed(
        (
            click.option(
                "--threads",
                metavar="N",
                type=click.IntRange(1, 1000),
                default=4,
                show_default=True,
                help="Tasks of plain functions that run at once, in each worker process.",
            ),
            click.option(
                "--async",
                "coroutines",
                metavar="N",
                type=click.IntRange(1, 10_000),
                help="Coroutines that run at once, in each worker process; TASKS_ASYNC_CONCURRENCY (100) unless given.",
            ),
            click.option(
                "--task-processes",
                metavar="N",
                type=click.IntRange(1, 1000),
                help="Processes that each worker process has at most for tasks with execution='process'; "
                "TASKS_PROCESSES (one for each processor) unless given.",
            ),
            click.option(
                "--queues",
                metavar="NAMES",
                help="critical,default,low (the default) strictly in this order; critical:6,default:3,low:1 by weight.",
            ),
            click.option(
                "--processes",
                metavar="N",
                type=click.IntRange(1, 1000),
                help="Worker processes, under a parent that starts the dead again and has their tasks go on at once. "
                "Without it there is this one process.",
            ),
            click.option(
                "--max-tasks-per-child",
                type=click.IntRange(1),
                metavar="N",
                help="Replace a worker process that has done so many tasks, when another one serves in its place.",
            ),
            click.option(
                "--max-memory",
                type=click.IntRange(1),
                metavar="MB",
                help="The same for one with more memory than that.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command("worker")
@_modules
@_workers
@click.option("--burst", is_flag=True, help="End when nothing is left to do; exit status 1 if an attempt failed.")
@_reload
@_line
@click.pass_context
def worker_command(  # noqa: PLR0913 - as many as there are options
    context: click.Context,
    modules: tuple[str, ...],
    threads: int,
    coroutines: int | None,
    task_processes: int | None,
    queues: str | None,
    processes: int | None,
    max_tasks_per_child: int | None,
    max_memory: int | None,
    *,
    burst: bool,
    reload: bool,
    line: int | None,
) -> None:
    """Do the tasks that modules define.

    MODULE is named as in Python, or by its file; a package brings all modules in it. Ends with 0 after one Ctrl-C or
    TERM, when what runs has ended, for TASKS_SHUTDOWN_SECONDS at most; a second one hands it back at once.
    """
    if burst and reload:
        raise click.UsageError("--burst ends when nothing is left to do, --reload waits for changes: give one of them")
    work = Work("worker", modules, threads, coroutines, task_processes, queues, burst=burst)
    limits = _limits(max_tasks_per_child, max_memory)
    if processes is None and limits is None and not reload:
        context.exit(serve(work, line))
    workers = program(context, "worker", work, processes or 1)
    context.exit(supervise([workers], Banner(work.title), limits=limits, reload=reload))


@click.command("run")
@_modules
@_workers
@_reload
@_line
@click.pass_context
def run_command(  # noqa: PLR0913 - as many as there are options
    context: click.Context,
    modules: tuple[str, ...],
    threads: int,
    coroutines: int | None,
    task_processes: int | None,
    queues: str | None,
    processes: int | None,
    max_tasks_per_child: int | None,
    max_memory: int | None,
    *,
    reload: bool,
    line: int | None,
) -> None:
    """Do the tasks that modules define, and fire their schedules.

    A worker and a scheduler in one process; with --processes the scheduler has one of its own.
    """
    work = Work("worker and scheduler", modules, threads, coroutines, task_processes, queues, fires=True)
    limits = _limits(max_tasks_per_child, max_memory)
    if processes is None and limits is None and not reload:
        context.exit(serve(work, line))
    workers = program(context, "worker", work, processes or 1)
    scheduler = program(context, "scheduler", Work("scheduler", modules, fires=True))
    context.exit(supervise([workers, scheduler], Banner(work.title, fires=True), limits=limits, reload=reload))


@click.command("scheduler")
@_modules
@_reload
@_line
@click.pass_context
def scheduler_command(context: click.Context, modules: tuple[str, ...], *, reload: bool, line: int | None) -> None:
    """Fire the schedules that modules declare.

    There may be any number of schedulers: each instant becomes one task.
    """
    work = Work("scheduler", modules, fires=True)
    if not reload:
        context.exit(serve(work, line))
    scheduler = program(context, "scheduler", work)
    context.exit(supervise([scheduler], Banner(work.title, fires=True), reload=True))


def _limits(tasks: int | None, memory_mb: int | None) -> Limits | None:
    return None if tasks is memory_mb is None else Limits(tasks, memory_mb)
