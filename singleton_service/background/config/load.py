"""Read and check all settings."""

from __future__ import annotations

from contextlib import suppress

from singleton_service.background.config.settings import SETTINGS, PlainSettings
from singleton_service.background.config.variables import read_variables, variable_name, warn_about_unknown

__all__ = ["load_settings"]


def load_settings() -> PlainSettings:
    """Read and check all settings; warn about TASKS_ variables that mean nothing.

    Raises:
        ConfigError: One or more variables break their rule; names them all.
    """
    variables = read_variables()
    warn_about_unknown(variables, SETTINGS)
    given = {name: variables[variable].value for name in SETTINGS if (variable := variable_name(name)) in variables}
    with suppress(ValueError):
        return PlainSettings(**{name: SETTINGS[name].read(text) for name, text in given.items()})
    # Here alone: what is written plainly must not wait for pydantic to be imported.
    from singleton_service.background.config.judging import judged  # noqa: PLC0415

    return judged(given, variables)
