"""`doctor`: what is wrong here, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from singleton_service.background.doctor import UNREACHABLE, Verdict, examine, worst

from .output import is_terminal, json_option, terminal, write_json, write_line
from .problems import ExitCode, printable

if TYPE_CHECKING:
    from rich.table import Table

    from singleton_service.background.doctor import Finding

_COLOURS: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "red"}


@click.command("doctor")
@json_option
@click.pass_context
def doctor_command(context: click.Context, *, as_json: bool) -> None:
    """Look for what keeps tasks from running, and say what to do about it.

    Asks the server, the queues and the data directory; changes nothing. Ends with 1 when there is a problem, with 3
    when the server can't be reached.
    """
    findings = examine()
    verdict = worst(findings)
    if as_json:
        write_json({"verdict": verdict, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
        write_line(_summary(findings))
    is_away = any(finding.check == UNREACHABLE for finding in findings)
    context.exit(ExitCode.UNREACHABLE if is_away else ExitCode.FAILED if verdict is Verdict.PROBLEM else ExitCode.OK)


def _print(findings: list[Finding]) -> None:
    if is_terminal():
        terminal().print(_drawn(findings))
        return
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        write_line(f"{finding.verdict:<7}  {finding.check:<{width}}  {finding.finding}")
        if finding.fix:
            write_line(f"{'':7}  {'':{width}}  try: {finding.fix}")


def _drawn(findings: list[Finding]) -> Table:
    """Return them as a terminal shows them: in colours, and what is long below itself."""
    from rich.table import Table  # noqa: PLC0415 - heavy, and nothing for a pipe
    from rich.text import Text  # noqa: PLC0415 - as above

    grid = Table.grid(padding=(0, 2, 0, 0))
    for overflow in ("ignore", "ignore", "fold"):
        grid.add_column(overflow=overflow, no_wrap=overflow == "ignore")
    for finding in findings:
        said = Text(printable(finding.finding))
        if finding.fix:
            said.append(f"\ntry: {printable(finding.fix)}", "dim")
        grid.add_row(Text(finding.verdict, _COLOURS[finding.verdict]), finding.check, said)
    return grid


def _summary(findings: list[Finding]) -> str:
    numbers = {
        verdict: sum(finding.verdict is verdict for finding in findings)
        for verdict in (Verdict.PROBLEM, Verdict.WARNING)
    }
    said = [f"{number} {verdict}{'s' if number > 1 else ''}" for verdict, number in numbers.items() if number]
    return f"{' and '.join(said)}" if said else f"all {len(findings)} checks are well"
