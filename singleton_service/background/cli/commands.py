"""Which verbs there are, where each lies, and how a group finds them. Nothing here imports a verb before it is used."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .problems import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verb(NamedTuple):
    """A command: where it lies in this package, as module:attribute, and its line in the help of its group."""

    where: str
    help: str


class Family(NamedTuple):
    """A group of commands about one thing."""

    help: str
    verbs: Mapping[str, Verb]


SECTIONS: dict[str, dict[str, Verb | Family]] = {
    "Run": {
        "worker": Verb("worker:worker_command", "Do the tasks that modules define."),
        "scheduler": Verb("worker:scheduler_command", "Fire the schedules that modules declare."),
        "run": Verb("worker:run_command", "Do the tasks that modules define, and fire their schedules."),
        "dev": Verb("dev:dev_command", "Run all that while you write it, a web app beside it, anew at each change."),
    },
    "Tasks": {
        "status": Verb("status:status_command", "Show queues, workers and what failed lately."),
        "enqueue": Verb("enqueue:enqueue_command", "Put a task into the queue and print its id."),
        "tasks": Family(
            "List, follow, retry, cancel, delete and debug tasks.",
            {
                "list": Verb("tasks_look:list_command", "List tasks."),
                "show": Verb("tasks_look:show_command", "Show all there is to know of a task."),
                "watch": Verb("tasks_watch:watch_command", "Follow a task to its end, and print its result."),
                "retry": Verb(
                    "tasks_change:retry_command", "Put failed tasks back, with all their retries before them."
                ),
                "cancel": Verb(
                    "tasks_change:cancel_command", "Cancel tasks, by id or all of a kind that have not started."
                ),
                "debug": Verb("tasks_debug:debug_command", "Run a task that has ended again, here, under pdb."),
                "delete": Verb("tasks_change:delete_command", "Forget tasks that have ended, with their results."),
            },
        ),
        "failed": Family(
            "List, retry and delete tasks that failed for good.",
            {
                "list": Verb("failed:list_command", "List tasks that failed for good, the latest first."),
                "retry": Verb("failed:retry_command", "Put failed tasks back, by id or all of a kind."),
                "delete": Verb("failed:delete_command", "Forget failed tasks, by id or all of a kind."),
            },
        ),
        "queues": Family(
            "List, pause, resume and purge queues.",
            {
                "list": Verb("queues:list_command", "List queues and count what lies in them."),
                "pause": Verb("queues:pause_command", "Hand out no more tasks of a queue."),
                "resume": Verb("queues:resume_command", "Hand out tasks of a paused queue again."),
                "purge": Verb("queues:purge_command", "Cancel everything in a queue that has not started."),
            },
        ),
        "schedules": Family(
            "List, add, pause, run and remove what comes again and again.",
            {
                "list": Verb(
                    "schedules_look:list_command", "List schedules, whoever made them, the next to fire first."
                ),
                "show": Verb(
                    "schedules_look:show_command", "Show all there is to know of a schedule, with its last fires."
                ),
                "next": Verb("schedules_next:next_command", "Print when an expression would be due next."),
                "add": Verb(
                    "schedules_change:add_command", "Have a task done again and again, and print the schedule's id."
                ),
                "pause": Verb("schedules_change:pause_command", "Fire a schedule no more until it is resumed."),
                "resume": Verb(
                    "schedules_change:resume_command", "Have a paused schedule go on with its next instant."
                ),
                "run": Verb(
                    "schedules_change:run_command", "Fire a schedule now, paused or not, and print the task's id."
                ),
                "remove": Verb("schedules_change:remove_command", "End a schedule everywhere; its tasks stay."),
            },
        ),
    },
    "This project": {
        "config": Family(
            "Show the settings in force.",
            {"show": Verb("config:show_command", "Print the settings and where each comes from.")},
        ),
        "doctor": Verb("doctor:doctor_command", "Look for what keeps tasks from running, and say what to do about it."),
        "health": Verb("health:health_command", "Tell whether the server answers and workers take tasks."),
        "graph": Verb("graph:graph_command", "Print which services of a module need which."),
    },
}


SERVING = frozenset(SECTIONS["Run"])
"""Verbs that go on until told to stop, and tell meanwhile what happens."""


class LazyGroup(click.Group):
    """A group that imports a command when it is used, and lists all without.

    Args:
        sections: heading -> name -> command, in the order of the help.
        options: as click has them.
    """

    def __init__(self, *, sections: Mapping[str, Mapping[str, Verb | Family]], **options: Any) -> None:
        super().__init__(no_args_is_help=False, **options)
        self._sections = sections
        self._known = {name: known for commands in sections.values() for name, known in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return list(self._known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a command; None when there is none of this name."""
        match self._known.get(cmd_name):
            case Family() as family:
                return LazyGroup(sections={"Commands": family.verbs}, name=cmd_name, help=family.help)
            case Verb() as verb:
                module, _, attribute = verb.where.partition(":")
                command: click.Command = getattr(import_module(f"{__package__}.{module}"), attribute)
                return command
        return None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take a call without arguments for one of --help."""
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that a call names, as click does; for a wrong name, name the nearest."""
        name = args[0]
        if name not in self._known and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, self._known, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            fix = f"{ctx.command_path} {near[0]}" if near else f"{ctx.command_path} --help"
            raise CommandError(f"there is no command {name!r}{hint}", fix=fix, code=ExitCode.USAGE)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the lists of commands into the help."""
        width = max(map(len, self._known))
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), known.help) for name, known in commands.items()])
