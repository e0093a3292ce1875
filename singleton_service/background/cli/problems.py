"""What goes wrong on the command line, told in three lines: what, why, what to try.

click.ClickException
└── CommandError      a verb can't do what it was asked to, for a reason that was foreseen
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


# Tabs and ends of lines are harmless.
_CONTROLS = {n: f"\\x{n:02x}" for n in (*range(9), *range(11, 32), *range(127, 160))}


class ExitCode(IntEnum):
    """What the process ends with: a contract with scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    # As a shell counts a process that a signal ended.
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class CommandError(click.ClickException):
    """A verb can't do what it was asked to.

    Attributes:
        what: happened, to which thing.
        why: what the server, the system or the rule says; "" when `what` says it all.
        fix: what to try; "" when there is nothing to be done.
        code: what the process ends with.
        detail: shown before all, as it is: a traceback, say.
    """

    def __init__(
        self, what: str, why: str = "", fix: str = "", *, code: ExitCode = ExitCode.FAILED, detail: str = ""
    ) -> None:
        super().__init__(what)
        self.args = (what, why, fix)
        self.what = what
        self.why = why
        self.fix = fix
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (*self.args, self.code, self.detail)

    def __str__(self) -> str:
        return ". ".join(part.rstrip(".") for part in (self.what, self.why, self.fix) if part)


def _rebuilt(what: str, why: str, fix: str, code: ExitCode, detail: str) -> CommandError:
    return CommandError(what, why, fix, code=code, detail=detail)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Take a ValueError or TypeError of the block, which has a caller's argument in it, for a wrong call of the verb.

    Raises:
        CommandError: instead of it.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise CommandError(str(error), code=ExitCode.USAGE) from error


def report(error: CommandError) -> int:
    """Tell about an error on stderr, and return what the process ends with."""
    lines = [f"{_styled('Error:', fg='red', bold=True)} {printable(error.what)}"]
    lines += [f"  {_styled('why:', dim=True)} {printable(error.why)}"] if error.why else []
    lines += [f"  {_styled('try:', dim=True)} {printable(error.fix)}"] if error.fix else []
    if error.detail:
        lines.insert(0, printable(error.detail.rstrip("\n")))
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return error.code


def printable(text: str) -> str:
    """Return text without what would steer a terminal: whatever a task's error says, it says it in letters."""
    return text.translate(_CONTROLS)


def told_by_click(error: click.ClickException) -> CommandError:
    """Return in our words what click found wrong with a call."""
    if isinstance(error, CommandError):
        return error
    if not isinstance(error, click.UsageError):
        return CommandError(error.format_message())
    context = error.ctx
    fix = f"{context.command_path} --help" if context else ""
    return CommandError(error.format_message().rstrip("."), fix=fix, code=ExitCode.USAGE)


def _styled(text: str, *, fg: str | None = None, bold: bool | None = None, dim: bool | None = None) -> str:
    return click.style(text, fg=fg, bold=bold, dim=dim) if is_colourful(sys.stderr.isatty()) else text


def is_colourful(is_terminal: bool) -> bool:  # noqa: FBT001 - the one thing it is about
    """Whether there may be colours where *is_terminal*: https://no-color.org, and terminals that know none."""
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
