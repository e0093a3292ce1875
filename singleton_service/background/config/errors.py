"""What goes wrong with settings.

ValueError
 └─ ConfigError          one or more settings break their rule
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ConfigError", "ConfigProblem"]


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One setting that breaks its rule; `value` is already masked where it holds a secret."""

    variable: str
    value: str
    rule: str
    fix: str
    origin: str = "the environment"

    def __str__(self) -> str:
        return f"{self.variable}={self.value!r} (from {self.origin}): {self.rule}. {self.fix}"


class ConfigError(ValueError):
    """Settings cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
