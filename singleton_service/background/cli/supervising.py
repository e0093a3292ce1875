"""Running verbs as processes of their own, under a supervisor: this process, which imports nothing of the user's."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singleton_service.background.config import settings_in_force
from singleton_service.background.supervisor import Limits, Program, Supervisor
from singleton_service.background.supervisor.child import python

from .banner import Facts, print_banner
from .problems import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

    from .prefixes import Prefixes
    from .serving import Work


@dataclass(frozen=True, slots=True)
class Banner:
    """What the banner says that no single process knows."""

    title: str
    fires: bool = False


def program(context: click.Context, verb: str, work: Work, number: int = 1) -> Program:
    """Return the program that does this verb's work in processes of its own."""
    verbose = ["--verbose"] * context.find_root().params["verbose"]
    command = (*python(), "-m", "singleton_service", *verbose, verb, *work.options())
    return Program(verb, command, number, may_end=work.burst)


def supervise(
    programs: Sequence[Program],
    banner: Banner,
    *,
    limits: Limits | None = None,
    reload: bool = False,
    prefixes: Prefixes | None = None,
) -> int:
    """Run programs until told to stop, or until they have done their part; return the exit status.

    Args:
        programs: the first one's banner is shown.
        banner: what to add to it.
        limits: when a process has served long enough.
        reload: whether all start anew when a file below the working directory changes.
        prefixes: take what the processes print, if there are any.

    Raises:
        CommandError: what watches files is not installed.
    """
    settings = settings_in_force()
    if settings.health_port is not None or settings.health_file is not None:
        raise CommandError(
            "TASKS_HEALTH_PORT and TASKS_HEALTH_FILE tell the health of one process, and there are to be several",
            "they would want the same port or file",
            "Leave --processes out, with one container for each worker, or unset the two.",
            code=ExitCode.USAGE,
        )

    def show(loaded: Program, shown: Any) -> None:
        if loaded == programs[0] and shown is not None:
            facts = Facts(**{**shown, "title": banner.title})
            print_banner(facts, fires=banner.fires, processes=loaded.number, reload=reload)

    supervisor = Supervisor(
        programs,
        patience_s=settings.shutdown_seconds,
        limits=limits or Limits(),
        waits_for_changes=reload,
        on_loaded=show,
        output_of=prefixes.output_of if prefixes else lambda _name: None,
    )
    with ExitStack() as undo:
        if reload:
            undo.callback(_watched(supervisor).stop)
        return supervisor.run()


def _watched(supervisor: Supervisor) -> Any:
    try:
        from singleton_service.background.supervisor.watcher import Watcher  # noqa: PLC0415 - comes with the extra
    except ModuleNotFoundError as error:
        raise CommandError(f"to watch files takes {error.name}", fix='pip install "singleton-service[cli]"') from error
    return Watcher(Path.cwd(), supervisor.replace_all)
