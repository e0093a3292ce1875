"""Have pydantic judge settings that are not written plainly, and turn what it says into sentences about variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from singleton_service.background.config.errors import ConfigError, ConfigProblem
from singleton_service.background.config.masking import mask_url
from singleton_service.background.config.model import Settings
from singleton_service.background.config.rules import RuleError
from singleton_service.background.config.settings import SETTINGS, PlainSettings
from singleton_service.background.config.variables import Variable, variable_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

__all__ = ["judged"]


def judged(given: Mapping[str, str], variables: Mapping[str, Variable]) -> PlainSettings:
    """Return the settings that these texts mean.

    Raises:
        ConfigError: One or more break their rule; names them all.
    """
    try:
        settings = Settings(**given)
    except ValidationError as error:
        details = error.errors(include_url=False)
    else:
        return PlainSettings(**{name: getattr(settings, name) for name in given})
    # Outside the handler: pydantic's error is full of the values that we mask.
    raise ConfigError(tuple(_problem(detail, variables) for detail in details))


def _problem(detail: ErrorDetails, variables: Mapping[str, Variable]) -> ConfigProblem:
    name = str(detail["loc"][0])
    setting, variable = SETTINGS[name], variables[variable_name(name)]
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, RuleError):
        rule, fix = error.rule, error.fix
    else:
        rule = f"must be {setting.rule}"
        fix = f"Change it, or remove it to use the default, {setting.default}."
    return ConfigProblem(variable_name(name), mask_url(variable.value), rule, fix, variable.origin)
