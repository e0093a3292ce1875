"""How a setting says which rule was broken, and how to put it right."""

from __future__ import annotations

__all__ = ["RuleError"]


class RuleError(ValueError):
    """A value breaks *rule*; *fix* says what to write instead.

    Raised inside validators only; it reaches people as a `ConfigProblem` with the name of
    the variable. It never carries the value itself, which may hold a password.
    """

    def __init__(self, rule: str, fix: str) -> None:
        super().__init__(rule, fix)
        self.rule = rule
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.rule}. {self.fix}"
