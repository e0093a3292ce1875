"""Read settings from the environment and from `.env`, and know which came from where."""

from __future__ import annotations

import difflib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from singleton_service.background.config.errors import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["PREFIX", "Variable", "read_variables", "variable_name", "warn_about_unknown"]

PREFIX: Final = "TASKS_"
_DOTENV: Final = ".env"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Variable:
    """The text of a variable, and where it was found."""

    value: str
    origin: str


def variable_name(field: str) -> str:
    """Return the variable a field of `Settings` is read from."""
    return "REDIS_URL" if field == "redis_url" else PREFIX + field.upper()


def read_variables() -> dict[str, Variable]:
    """Return REDIS_URL and every TASKS_ variable; the environment wins over `.env`.

    A variable that is set to nothing counts as unset, as `REDIS_URL=` in a compose file means it.

    Raises:
        ConfigError: There is a `.env` in the working directory that cannot be read.
    """
    path = Path(_DOTENV).absolute()
    found = _ours(_read_dotenv(path), str(path))
    found.update(_ours(os.environ, "the environment"))
    return found


def _ours(values: Mapping[str, str | None], origin: str) -> dict[str, Variable]:
    return {
        name: Variable(value.strip(), origin)
        for name, value in values.items()
        if (name == "REDIS_URL" or name.startswith(PREFIX)) and value and value.strip()
    }


def _read_dotenv(path: Path) -> dict[str, str | None]:
    try:
        # A folder of this name is somebody's virtual environment, and none of our business.
        if not path.is_file():
            return {}
        from dotenv import dotenv_values  # noqa: PLC0415 - where there is one: most programs start without

        # utf-8-sig: editors on Windows begin a file with a byte order mark.
        return dotenv_values(path, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = ConfigProblem(
            variable=_DOTENV,
            value=str(path),
            rule=f"the file cannot be read: {error}",
            fix="Make it readable UTF-8 text for this user, or remove it.",
            origin="the working directory",
        )
        raise ConfigError((problem,)) from error


def warn_about_unknown(variables: Mapping[str, Variable], fields: Iterable[str]) -> None:
    """Log one warning for each TASKS_ variable that no setting has, with the nearest name.

    A misspelt setting would otherwise be a setting silently left at its default.
    """
    known = [variable_name(field) for field in fields]
    for name in sorted(set(variables) - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reference/settings.md lists them all."
        _logger.warning(
            "unknown setting %s (from %s) is ignored: %s",
            name,
            variables[name].origin,
            hint,
            extra={"variable": name, "nearest": near[0] if near else None},
        )
