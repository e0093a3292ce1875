"""What is wrong with an expression, where, and what would be right."""

from __future__ import annotations

UNSUPPORTED = "Unsupported cron expression"
INVALID = "Invalid cron expression"
UNSUPPORTED_UNIT = "Unsupported time unit"


class ExpressionError(ValueError):
    """An expression says nothing that a schedule could follow.

    Attributes:
        kind: one of the three phrases above, with which the message begins.
        text: the expression, as it can be printed on one line.
        start, end: the part of *text* that is wrong; one past its end when something is missing there, and equal when
            it is the whole.
        rule: what holds there.
        neighbour: an expression close to it that is right.
    """

    def __init__(self, kind: str, text: str, start: int, end: int, rule: str, neighbour: str) -> None:  # noqa: PLR0913 - facts
        super().__init__(kind, text, start, end, rule, neighbour)
        self.kind = kind
        self.text = text
        self.start = start
        self.end = end
        self.rule = rule
        self.neighbour = neighbour

    @property
    def marked(self) -> str:
        """What it is about, and the expression with a mark under the part that is wrong."""
        what = self.text[self.start : self.end] if self.kind == UNSUPPORTED_UNIT else self.text
        pointed = [f"  {self.text}", f"  {' ' * self.start}{'^' * (self.end - self.start)}"]
        return "\n".join([f"{self.kind}: {what}", *(pointed if self.end > self.start else ())])

    def __str__(self) -> str:
        return f"{self.marked}\n{self.rule}. Try: {self.neighbour}"
