"""`doctor`: what is wrong here, and what to do about it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from singleton_service.background.doctor import UNREACHABLE, Verdict, examine, worst

from .output import is_terminal, json_option, write_json, write_line
from .problems import ExitCode, is_colourful

if TYPE_CHECKING:
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
    width = max(len(finding.check) for finding in findings)
    has_colour = is_colourful(is_terminal())
    for finding in findings:
        word = f"{finding.verdict:<7}"
        word = click.style(word, fg=_COLOURS[finding.verdict]) if has_colour else word
        write_line(f"{word}  {finding.check:<{width}}  {finding.finding}")
        if finding.fix:
            write_line(f"{'':7}  {'':{width}}  try: {finding.fix}")
    sys.stdout.flush()


def _summary(findings: list[Finding]) -> str:
    numbers = {
        verdict: sum(finding.verdict is verdict for finding in findings)
        for verdict in (Verdict.PROBLEM, Verdict.WARNING)
    }
    said = [f"{number} {verdict}{'s' if number > 1 else ''}" for verdict, number in numbers.items() if number]
    return f"{' and '.join(said)}" if said else f"all {len(findings)} checks are well"
