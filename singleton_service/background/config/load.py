"""Turn what pydantic says about a bad setting into a sentence about a variable."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import ValidationError

from singleton_service.background.config.errors import ConfigError, ConfigProblem
from singleton_service.background.config.masking import mask_url
from singleton_service.background.config.rules import RuleError
from singleton_service.background.config.settings import Settings
from singleton_service.background.config.variables import (
    Variable,
    read_variables,
    variable_name,
    warn_about_unknown,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = ["load_settings", "rule_of"]

_KINDS: Final[dict[Any, str]] = {float: "a number", int: "a whole number", bool: "true or false"}


def load_settings() -> Settings:
    """Read and check all settings; warn about TASKS_ variables that mean nothing.

    Raises:
        ConfigError: One or more variables break their rule; names them all.
    """
    variables = read_variables()
    warn_about_unknown(variables, Settings.model_fields)
    try:
        return Settings()
    except ValidationError as error:
        details = error.errors(include_url=False)
    # Outside the handler: pydantic's error is full of the values that we mask.
    raise ConfigError(tuple(_problem(detail, variables) for detail in details))


def rule_of(field: FieldInfo) -> str:
    """Return the rule of a setting in words, as "a number from 2 to 300"."""
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(get_args(field.annotation))
    # Of a setting that may be unset, the kind that it has when it is set.
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType] or [field.annotation]
    words = _KINDS.get(kinds[0], "text")
    low = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    return words if low is None else f"{words} from {low} to {high}"


def _problem(detail: ErrorDetails, variables: dict[str, Variable]) -> ConfigProblem:
    name = str(detail["loc"][0])
    field = Settings.model_fields[name]
    variable = variables.get(variable_name(name), Variable("", "the environment"))
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, RuleError):
        rule, fix = error.rule, error.fix
    else:
        rule = f"must be {rule_of(field)}"
        fix = f"Change it, or remove it to use the default, {field.default}."
    return ConfigProblem(variable_name(name), mask_url(variable.value), rule, fix, variable.origin)
