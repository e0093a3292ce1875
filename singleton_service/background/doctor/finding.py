"""What a check comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How well something is; later ones are worse."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. JSON-able by `dataclasses.asdict`.

    Attributes:
        check: which; the same in every version.
        verdict: how well it is. With a problem tasks are lost, or don't run; with a warning they may one day.
        finding: what is so, in one line.
        fix: what to do about it, in one line; "" when all is well.
    """

    check: str
    verdict: Verdict
    finding: str
    fix: str = ""


def worst(findings: list[Finding]) -> Verdict:
    """Return the worst of all verdicts."""
    return max((finding.verdict for finding in findings), key=lambda verdict: verdict.rank, default=Verdict.OK)


def fine(check: str, finding: str) -> Finding:
    """Return that all is well."""
    return Finding(check, Verdict.OK, _in_one_line(finding))


def warning(check: str, finding: str, fix: str) -> Finding:
    """Return what may do harm one day."""
    return Finding(check, Verdict.WARNING, _in_one_line(finding), _in_one_line(fix))


def problem(check: str, finding: str, fix: str) -> Finding:
    """Return what does harm."""
    return Finding(check, Verdict.PROBLEM, _in_one_line(finding), _in_one_line(fix))


def _in_one_line(text: str) -> str:
    # What a server or a task says may be of several.
    return " ".join(text.split())
