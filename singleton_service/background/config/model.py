"""The settings as a model of pydantic-settings, made of the definitions in settings.py.

To be imported where the model is asked for, and not before: pydantic takes nearly as long to import as everything
else that a worker needs.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads annotations when the model is made
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from singleton_service.background.config.masking import mask_url
from singleton_service.background.config.settings import SETTINGS, PlainSettings
from singleton_service.background.config.variables import read_variables, variable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.fields import FieldInfo

    from singleton_service.background.config.setting import Setting

__all__ = ["Settings", "model_of"]


class _Environment(PydanticBaseSettingsSource):
    """The environment and `.env`, under the names that `variable_name` gives."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  the base class's signature
        variable = read_variables().get(variable_name(field_name))
        return (variable.value if variable else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        variables = read_variables()
        names = {field: variable_name(field) for field in self.settings_cls.model_fields}
        return {field: variables[name].value for field, name in names.items() if name in variables}


class _Frame(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  replaced by our own reader, which knows origins
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  not offered
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then `.env`."""
        return init_settings, _Environment(settings_cls)

    def resolved_data_dir(self) -> Path:
        """Return `data_dir`, or the one of the project around the working directory.

        Raises:
            RuntimeError: `data_dir` is unset and this user has no home directory.
        """
        return PlainSettings.of(self).resolved_data_dir()

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, mask_url(value) if name == "redis_url" and value else value


def _field(setting: Setting) -> tuple[Any, Any]:
    kind, check = setting.annotation, setting.check
    if check is not None:
        kind = Annotated[kind, AfterValidator(_unless_none(check))]
    bounds: dict[str, Any] = {"ge": setting.at_least, "le": setting.at_most} if setting.at_least is not None else {}
    if setting.kind is float:
        bounds["allow_inf_nan"] = False
    field: Any = Field(default=setting.default, description=setting.meaning, **bounds)
    return kind, field


def _unless_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


if TYPE_CHECKING:

    class Settings(PlainSettings, _Frame):
        """What is made below."""

        def __init__(self, **given: Any) -> None: ...

else:
    Settings = create_model(
        "Settings",
        __base__=_Frame,
        __module__=__name__,
        **{name: _field(setting) for name, setting in SETTINGS.items()},
    )
    Settings.__doc__ = """The settings of one process, read once from keyword arguments, the environment and `.env`.

    Frozen. `repr` and `str` mask passwords; `redis_url` itself is the real one.

    Raises:
        pydantic.ValidationError: A value breaks its rule; `load_settings` puts it in words.
    """


def model_of(settings: PlainSettings) -> Settings:
    """Return the model of settings that are checked already."""
    given = vars(settings)
    return Settings.model_construct(_fields_set=set(given), **given)
