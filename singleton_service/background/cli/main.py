"""The root of all commands, and what becomes of what they raise."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from singleton_service import stop

from .commands import SECTIONS, SERVING, LazyGroup
from .problems import ExitCode, report, told_by_click

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "singleton-service"
# Set by the scripts that click makes for completion in shells.
_COMPLETE = "_SINGLETON_SERVICE_COMPLETE"


def _print_version(context: click.Context, _option: click.Parameter, is_asked: bool) -> None:  # noqa: FBT001 - click's
    if is_asked:
        from importlib.metadata import version  # noqa: PLC0415 - heavy, and few ask

        click.echo(f"{PROGRAM} {version(PROGRAM)}")
        context.exit()


@click.group(
    PROGRAM,
    cls=LazyGroup,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--verbose", "-v", count=True, help="Log more on stderr; twice, all there is.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
@click.pass_context
def root(context: click.Context, verbose: int) -> None:
    """Run, watch and look after background tasks.

    REDIS_URL names the server; without it an embedded one is shared by all programs of this project.
    """
    from .logs import logging_to_stderr  # noqa: PLC0415 - not for --help

    context.with_resource(logging_to_stderr(max(verbose, context.invoked_subcommand in SERVING)))


def run(arguments: Sequence[str]) -> int:
    """Run one call of the command line, stop what it started, and return the exit status.

    Errors that were foreseen are told in up to three lines on stderr; others are raised.
    """
    if _COMPLETE in os.environ:
        root.main([], PROGRAM)  # never returns
    _take_streams()
    try:
        code = _invoke(arguments)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("\n")  # after the ^C of the terminal
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        code = ExitCode.PIPE_CLOSED  # who read this has seen enough
    try:
        sys.stdout.flush()
    except OSError:
        # Python would try once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _take_streams() -> None:
    """Have streams that take all there is to say: whoever starts this may have closed them, or speak ASCII alone."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - as long as the process
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _invoke(arguments: Sequence[str]) -> int:
    try:
        try:
            with root.make_context(PROGRAM, list(arguments)) as context:
                root.invoke(context)
            sys.stdout.flush()
        finally:
            stop()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        return report(told_by_click(error))
    except (click.Abort, BrokenPipeError):
        raise
    except Exception as error:
        from .foreseen import foreseen  # noqa: PLC0415 - heavy

        told = foreseen(error)
        if told is None:
            raise
        return report(told)
    return ExitCode.OK
