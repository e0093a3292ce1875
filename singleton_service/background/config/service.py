"""ConfigService: the settings, read once, for everyone who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from singleton_service import BaseService, guarded
from singleton_service._plan import stand_in
from singleton_service.background.config.load import load_settings
from singleton_service.background.config.settings import SETTINGS, PlainSettings
from singleton_service.background.config.variables import variable_name

if TYPE_CHECKING:
    from singleton_service.background.config.model import Settings

__all__ = ["ConfigService", "settings_in_force"]

_FIELD_OF: Final = {name: field for field in SETTINGS for name in (field, variable_name(field))}


class ConfigService(BaseService):
    """Reads the environment and `.env` when it starts, and keeps what it read.

    A later change of the environment is seen after a stop and a new start.
    """

    _read: ClassVar[PlainSettings | None] = None
    # The model of what was read, once somebody has asked for it.
    _models: ClassVar[dict[PlainSettings, Settings]] = {}

    @classmethod
    def initialize(cls) -> None:
        """Read all settings.

        Raises:
            ConfigError: A variable breaks its rule, or `.env` cannot be read.
        """
        cls._read, cls._models = load_settings(), {}

    @classmethod
    def ping(cls) -> bool:
        """Return whether the settings have been read."""
        return cls._read is not None

    @classmethod
    def shutdown(cls) -> None:
        """Forget the settings."""
        cls._read, cls._models = None, {}

    @classmethod
    @guarded
    def get_config(cls) -> Settings:
        """Return all settings, frozen; every call gives the same object until a stop."""
        # Here, where a model is asked for: see there.
        from singleton_service.background.config.model import model_of  # noqa: PLC0415

        models, settings = cls._models, cls._plain()
        # By setdefault: of two threads that make one at a time both get the same.
        return models.get(settings) or models.setdefault(settings, model_of(settings))

    @classmethod
    @guarded
    def get(cls, key: str, default: Any = None) -> Any:
        """Return one setting, by field name (`lease_seconds`) or variable (`TASKS_LEASE_SECONDS`).

        Returns:
            Its value; *default* if there is no such setting or it is unset.
        """
        field = _FIELD_OF.get(key)
        value = None if field is None else getattr(cls._plain(), field)
        return default if value is None else value

    @classmethod
    @guarded
    def _plain(cls) -> PlainSettings:
        settings = cls._read
        # None only when another thread stopped the service since the gate let this one in.
        return load_settings() if settings is None else settings


_get_config: Final = vars(ConfigService)["get_config"]


def settings_in_force() -> PlainSettings:
    """Return what `ConfigService.get_config()` says, without making a model of it: that takes pydantic.

    Where a test has put something else in the place of that service or that method, it is asked.
    """
    if stand_in(ConfigService) is ConfigService and vars(ConfigService)["get_config"] is _get_config:
        return ConfigService._plain()
    return PlainSettings.of(ConfigService.get_config())
